/** JSON as it was sent, made readable: only white space is added. Parsed and written again, great numbers would be others. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** Texts longer than `textCharsMax` are cut, and say how long they are. */
export function indented(json: string, textCharsMax = Infinity): string {
  let depth = 0;
  let before = "";
  let found = "";
  const line = (): string => `\n${"  ".repeat(depth)}`;
  for (const token of json.match(TOKENS) ?? []) {
    if (token === "}" || token === "]") depth--;
    const isEnd = token === "}" || token === "]";
    const isEmpty = isEnd && (before === "{" || before === "[");
    const isFirst = (before === "{" || before === "[") && !isEmpty;
    if (isFirst || before === "," || (isEnd && !isEmpty)) found += line();
    found += token.length - 2 > textCharsMax && token.startsWith('"') ? `${token.slice(0, 1 + textCharsMax)}… (${token.length - 2} characters)"` : token;
    if (token === ":") found += " ";
    if (token === "{" || token === "[") depth++;
    before = token;
  }
  return found;
}
