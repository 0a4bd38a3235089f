/**
 * Where charts of one page get their curves: what several of them ask for at once is one request, and a curve whose run
 * goes on is asked for again as it grows, never twice at a time.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { fetchCurves, type Axis, type Curve } from "../api/curves";
import type { Range } from "./scales";

/** How what is drawn is looked at. */
export interface CurveView {
  axis: Axis;
  range: Range | null;
  pointsMax: number;
}

interface Waiting {
  name: string;
  resolve: (curves: Curve[]) => void;
  reject: (error: unknown) => void;
}

/** Enough to find where a run's clock begins. */
const STARTS_NAMES_MAX = 40;

export class CurveSource {
  private readonly batches = new Map<string, Waiting[]>();
  private starts: Promise<Map<string, number>> | null = null;

  constructor(
    readonly workspace: string,
    readonly runs: readonly string[],
    /** Of the metrics that the runs have. */
    private readonly names: () => readonly string[],
  ) {}

  /** One metric of all runs. */
  load(name: string, view: CurveView): Promise<Curve[]> {
    const key = JSON.stringify(view);
    const batch = this.batches.get(key) ?? [];
    if (batch.length === 0) {
      this.batches.set(key, batch);
      setTimeout(() => {
        this.batches.delete(key);
        void this.send(view, batch);
      });
    }
    return new Promise((resolve, reject) => batch.push({ name, resolve, reject }));
  }

  private async send(view: CurveView, batch: readonly Waiting[]): Promise<void> {
    try {
      const names = [...new Set(batch.map(({ name }) => name))];
      const curves = await (view.axis === "relative" ? this.relative(names, view) : this.plain(names, { ...view, axis: view.axis }));
      for (const { name, resolve } of batch) resolve(curves.filter((curve) => curve.name === name));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  private plain(names: readonly string[], view: CurveView & { axis: "step" | "time" }, runs: readonly string[] = this.runs): Promise<Curve[]> {
    return fetchCurves(this.workspace, { runs, names, ...view });
  }

  /** A range of a relative time is another range of each run's time. */
  private async relative(names: readonly string[], view: CurveView): Promise<Curve[]> {
    const starts = await this.startsOf();
    const start = (runId: string): number => starts.get(runId) ?? 0;
    const { range } = view;
    const found =
      range === null
        ? await this.plain(names, { ...view, axis: "time" })
        : (await Promise.all(this.runs.map((runId) => this.plain(names, { ...view, axis: "time", range: { from: range.from + start(runId), to: range.to + start(runId) } }, [runId])))).flat();
    return found.map((curve) => ({ ...curve, x: curve.x.map((x) => x - start(curve.runId)) }));
  }

  /** The first point of each run. */
  private startsOf(): Promise<Map<string, number>> {
    this.starts ??= this.findStarts().catch((error: unknown) => {
      this.starts = null;
      throw error;
    });
    return this.starts;
  }

  private async findStarts(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const { runId, first } of await this.plain(this.names().slice(0, STARTS_NAMES_MAX), { axis: "time", range: null, pointsMax: 1 })) {
      if (first !== null) found.set(runId, Math.min(found.get(runId) ?? Infinity, first));
    }
    if (found.size < this.runs.length) this.starts = null; // a run has nothing yet: it begins later
    return found;
  }
}

export interface CurvesAnswer {
  curves: readonly Curve[] | undefined;
  error: unknown;
  retry: () => void;
}

/** One metric of a source. `version` counts up when there is more of it; what is shown stays until that has come. */
export function useCurves(source: CurveSource, name: string, view: CurveView, version: number): CurvesAnswer {
  const [answer, setAnswer] = useState<{ source: CurveSource; axis: Axis; curves: readonly Curve[] } | null>(null);
  const [error, setError] = useState<unknown>(undefined);
  const [round, setRound] = useState(0);
  const wanted = useRef(0);
  const isBusy = useRef(false);
  const asked = useRef("");
  const key = JSON.stringify([name, view]);

  useEffect(() => {
    const number = ++wanted.current;
    const isSame = asked.current === key;
    if (isSame && isBusy.current) return; // asked for again below, when the answer is there
    asked.current = key;
    isBusy.current = true;
    const loadUntilCurrent = async (current: number): Promise<void> => {
      try {
        const curves = await source.load(name, view);
        if (asked.current !== key) return;
        setAnswer({ source, axis: view.axis, curves });
        setError(undefined);
      } catch (problem) {
        if (asked.current === key) setError(problem);
      }
      if (asked.current !== key) return;
      if (wanted.current > current) await loadUntilCurrent(wanted.current);
      else isBusy.current = false;
    };
    void loadUntilCurrent(number);
  }, [source, key, version, round]);

  useEffect(() => () => void (asked.current = ""), []);
  // Of another axis the present points say nothing.
  const isShown = answer !== null && answer.source === source && answer.axis === view.axis;
  return { curves: isShown ? answer.curves : undefined, error, retry: () => setRound((n) => n + 1) };
}
