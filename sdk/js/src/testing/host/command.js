import { forwarded } from "../current.js";

export default forwarded("command");
