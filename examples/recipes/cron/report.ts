import { once } from 'node:events'

/** Stands for the work, which stops when its lock is lost. It lasts until cron.ts says something. */
export async function writeReport(signal: AbortSignal): Promise<void> {
  console.log('writing')
  await once(process.stdin, 'data', { signal })
  process.stdin.destroy()
  console.log('written')
}
