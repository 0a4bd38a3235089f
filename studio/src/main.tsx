import "@fontsource-variable/inter/wght.css";
import "./styles/index.css";
import { render } from "preact";
import { App } from "./App";
import { startKeys } from "./lib/keys";
import { startRouter } from "./lib/router";

startRouter();
startKeys();
render(<App />, document.getElementById("app") as HTMLElement);
