"""Memory that reads and writes use again and again.

Owns one hint to the C library, given when this module is imported.

Every page of fresh memory costs a fault when it is first touched, which takes longer than copying a page of
a file into it. glibc gives large blocks back to the system when they are freed, so that whoever allocates
128 KiB for each of a hundred inner chunks pays for all their pages at every read: up to ten times the time
of the copy (`conformance/bench/README.md`). It raises its limits once a larger block was freed, of up to 32
MiB: from then on blocks up to that size are kept, and at most twice that size of free memory at the end of
the heap (mallopt(3), `M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD`, "dynamic"). Any program that frees one such
array is in that state; this makes it certain. Other C libraries take no notice.
"""

import numpy as np

_KEPT_NBYTES = 30 << 20

np.empty(_KEPT_NBYTES, np.uint8)  # freed at once: no page of it is ever touched
