/** JSON whose numbers stay what they are: a program's integers are exact up to 2^53 only, and seeds are greater. */
const MAY_BE_GREAT = /[:[,]\s*-?\d{16,}\s*[,}\]]/;
const INTEGER = /^-?\d+$/;

/** What browsers tell of a value that is being read; older ones tell nothing. */
interface Source {
  source?: string;
}

/** As JSON.parse has it, but integers that no number can hold are texts of their digits. */
export function parsed(json: string): unknown {
  if (!MAY_BE_GREAT.test(json)) return JSON.parse(json);
  const read = (_: string, value: unknown, context?: Source): unknown => (isInexact(value) && INTEGER.test(context?.source ?? "") ? context!.source : value);
  return JSON.parse(json, read as (key: string, value: unknown) => unknown);
}

function isInexact(value: unknown): boolean {
  return typeof value === "number" && !Number.isSafeInteger(value);
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** As it was sent, made readable: only white space is added. Texts longer than `textCharsMax` are cut, and say how long they are. */
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
