export interface RequestOptions {
  method?: string;
  headers?: Record<string, string> | [name: string, value: string][];
  body?: string | Uint8Array;
}

/** Headers by their names in any case; of those with one name, the values with commas between. */
export interface Headers extends Iterable<[name: string, value: string]> {
  get(name: string): string | null;
  has(name: string): boolean;
}

/** What a server answered; its body is there already. */
export interface Response {
  readonly status: number;
  /** Whether the status is one of success. */
  readonly ok: boolean;
  readonly headers: Headers;
  /** Whether there was more of the body than a plugin is given, 4 MiB unless policy says otherwise. */
  readonly truncated: boolean;
  bytes(): Uint8Array;
  text(): string;
  json(): any;
}

/** Sends a request and waits for the whole response. Redirects are not followed, and any status is a response. */
export function fetchSync(url: string, options?: RequestOptions): Response;
