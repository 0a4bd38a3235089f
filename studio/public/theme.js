// Before the first paint, so that a remembered theme does not flash. A file of its own: the policy runs no inline script.
try {
  var theme = localStorage.getItem("runfold.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (error) {
  // No storage: the system's own preference holds.
}
