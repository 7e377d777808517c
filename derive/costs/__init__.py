"""What a call costs, counted from the derived equations, and the least time that a processor needs for it.

count.py has the record and the count, workload.py goes through the kernels, machine.py describes processors, report.py
writes the page.
"""

from derive.costs.count import Cost, cost

__all__ = ["Cost", "cost"]
