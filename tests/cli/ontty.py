"""ontty.py ROWSxCOLS COMMAND...: runs COMMAND on a terminal of its own, prints what the terminal
says, without carriage returns, and ends with COMMAND's exit code as a shell has it. ONTTY_TYPE:
a line that is typed at once."""
import fcntl
import os
import pty
import struct
import sys
import termios

rows, cols = map(int, sys.argv[1].split("x"))
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
if "ONTTY_TYPE" in os.environ:
    os.write(master, os.environ["ONTTY_TYPE"].encode() + b"\n")
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    sys.stdout.buffer.write(data.replace(b"\r", b""))
sys.stdout.buffer.flush()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status if status >= 0 else 128 - status)
