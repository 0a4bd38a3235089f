// The few things of a page that modules look at while they are loaded.
Object.assign(globalThis, {
  document: { hidden: true, addEventListener: () => undefined, documentElement: { dataset: {} } },
  addEventListener: () => undefined,
  location: { pathname: "/studio/", search: "" },
});
