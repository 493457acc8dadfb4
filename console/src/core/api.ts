// Requests to the gateway that has served this page. The credential is a cookie that this code can't
// read; a change shows the token that the session has given (docs/console.md).

export interface Problem {
  status: number;
  code: string;
  detail: string;
}

export class ApiError extends Error implements Problem {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
  ) {
    super(detail || code || String(status));
  }
}

export interface Session {
  id: string;
  kind: 'admin' | 'service' | 'operator';
  tenant: string;
  sites: string[];
  may: { read: boolean; change: boolean; command: boolean; plates?: boolean };
  csrf?: string;
}

let csrf = '';
let onLoggedOut: () => void = () => {};

export function whenLoggedOut(f: () => void): void {
  onLoggedOut = f;
}

export type Query = Record<string, string | number | boolean | undefined>;

export function target(path: string, query: Query = {}): string {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') all.set(name, String(value));
  }
  const text = all.toString();
  return '/api/v1' + path + (text ? '?' + text : '');
}

// A name within a path.
export const part = encodeURIComponent;

interface Asked {
  method?: string;
  query?: Query;
  body?: unknown;
  text?: string;
  type?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  const headers: Record<string, string> = { ...asked.headers };
  const method = asked.method ?? 'GET';
  if (method !== 'GET') headers['X-Berth-CSRF'] = csrf;
  const body = asked.text ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body));
  if (body !== undefined) headers['Content-Type'] = asked.type ?? 'application/json';
  let answer: Response;
  try {
    answer = await fetch(target(path, asked.query), {
      method,
      headers,
      body,
      credentials: 'same-origin',
      signal: asked.signal ?? AbortSignal.timeout(35_000),
    });
  } catch (e) {
    if (asked.signal?.aborted) throw e;
    throw new ApiError(0, 'unreachable', '');
  }
  const said = await answer.text();
  if (answer.ok) {
    const json = answer.headers.get('Content-Type')?.includes('json');
    return (json && said ? JSON.parse(said) : said) as T;
  }
  if (answer.status === 401 && path !== '/session') onLoggedOut();
  throw errorOf(answer.status, said);
}

export function errorOf(status: number, said: string): ApiError {
  try {
    const p = JSON.parse(said) as { code?: string; detail?: string };
    return new ApiError(status, p.code ?? '', p.detail ?? '');
  } catch {
    return new ApiError(status, '', said.slice(0, 200));
  }
}

// `credential`: the admin token, or AUTH_ID@TENANT:PASSWORD.
export async function logIn(credential: string): Promise<Session> {
  const s = await ask<Session>('/session', {
    method: 'POST',
    headers: { Authorization: 'Bearer ' + credential },
  });
  csrf = s.csrf ?? '';
  return s;
}

// Nobody: undefined.
export async function whoAmI(): Promise<Session | undefined> {
  try {
    const s = await ask<Session>('/session');
    csrf = s.csrf ?? '';
    return s;
  } catch (e) {
    if (e instanceof ApiError && e.status === 401) return undefined;
    throw e;
  }
}

// False: this browser has lost the session, but the gateway could not store that it is ended.
export async function logOut(): Promise<boolean> {
  try {
    await ask('/session', { method: 'DELETE' });
  } catch (e) {
    if (!(e instanceof ApiError)) throw e;
    if (e.status !== 401) return false;
  } finally {
    csrf = '';
  }
  return true;
}
