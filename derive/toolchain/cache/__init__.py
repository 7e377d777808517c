"""Where compiled modules are kept, and how: a folder that belongs to one user, one builder at a time, nothing half written.

folder.py says where the cache is and refuses one that others could write to; locks.py lets one builder work and the
others wait; files.py writes so that a file is whole or not there; entry.py is one module in the cache, with a stamp
that knows the contents of every file; contents.py lists what is there and clears it.  They need the standard library only.
"""

from derive.toolchain.cache.folder import cache_folder, existing, trusted

__all__ = ["cache_folder", "existing", "trusted"]
