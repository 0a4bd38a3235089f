#!/bin/sh
# The document's commands, behind the word `runfold`.
set -eu

runfold az login
runfold az ml folder attach -w myworkspace -g myresourcegroup
runfold az ml run submit-script -c local -e testexperiment train.py
runfold az ml run list --experiment-name testexperiment
run=$(runfold az ml run list --experiment-name testexperiment --last 1 --query '[0].run_id' -o tsv)
runfold az ml run show -r "$run"
runfold az ml run update -r "$run" --add-tag quality='fantastic run'
runfold az ml run list --experiment-name testexperiment --query "[?tags.quality=='fantastic run'].run_id"

# Something to cancel
waiting=$(runfold az ml run submit-script --async -e testexperiment --query run_id -o tsv hello_with_delay.py)
runfold az ml run cancel -r "$waiting" -w myworkspace -e testexperiment
