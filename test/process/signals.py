"""Signals to processes that a test has started."""

import os
import signal


def pause(process):
    """Stops a subprocess.Popen and returns when none of its threads runs any more; on a busy machine
    they go on for a while after the signal. An exited process stays as it is."""
    process.send_signal(signal.SIGSTOP)
    if process.returncode is None:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
