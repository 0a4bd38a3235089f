"""Creates five children in one request, and ends each of them."""

from runfold import Run

run = Run.get_context()
for number, child in enumerate(run.create_children(count=5)):
    child.log("Hello from child run", number)
    child.complete()
