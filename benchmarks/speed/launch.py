"""Start a command from a small process: `python launch.py FILE COMMAND...` writes its seconds, peak memory and status.

Linux counts the memory of the process that starts a command to the command's own peak, so one that has loaded libraries
must not start it. Nothing but the standard library is imported here.
"""

import os
import sys
import time

begun = time.perf_counter()
process = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(process, 0)
took = time.perf_counter() - begun
with open(sys.argv[1], "w") as file:
    file.write(f"{took} {1024 * usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}")
