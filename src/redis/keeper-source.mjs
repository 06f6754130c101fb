/** Runs the thread of a keeper from the source: tsx reads TypeScript in the main thread only, unless a thread asks for it. */
import { register } from 'tsx/esm/api'

register()
await import('./keeper-worker.ts')
