"""Acceptance: a module that was just compiled is compared with its equations before anyone gets it.

That happens in a process of its own, so that a crash is a message and no crash.  The process is started before the
compiler is, and has imported all that it needs when the compiler is done.  process.py starts it and tells how it
ended, child.py is what runs in it, report.py writes down what is needed to see a failure again:

    python -m derive.verify.acceptance REPORT      builds the cell of a report once more, and examines it once more

What is compared is said in derive/verify/.
"""

from derive.verify.acceptance.case import Case, tag
from derive.verify.acceptance.process import LIMIT, Examiner
from derive.verify.acceptance.report import Rejected

__all__ = ["LIMIT", "Case", "Examiner", "Rejected", "tag"]
