"""Takes its time, so that there is something to cancel."""

import time

from runfold import Run

run = Run.get_context()
run.log("message", "Hello from run!")
time.sleep(60)
