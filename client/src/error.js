/** What went wrong. `code` is for programs, `detail` for people; `retry` says whether trying again may help. */
export class HeraldError extends Error {
  constructor(code, detail, retry, ref) {
    super(detail ? `${code}: ${detail}` : code);
    this.name = 'HeraldError';
    this.code = code;
    this.detail = detail;
    this.retry = !!retry;
    this.ref = ref;
  }
}

/** Nothing came, or not what was meant to come. */
export const unreachable = (detail) => new HeraldError('network', String(detail), true);
