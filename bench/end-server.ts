/** Promises that a worker whose parent was killed does not leave the server behind. */
import { Redis } from 'ioredis'

export async function endServer({ url }: { readonly url: string }): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => null })
  // It has no time to answer, and another worker may have been faster.
  await client.shutdown('NOSAVE').catch(() => undefined)
}
