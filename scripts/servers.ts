/** `npm run servers -- redis-8.6`: fetches servers of other versions, and prints the path of each. */
import { FetchError, fetchServer, SERVER_VERSIONS } from './server-versions.ts'

const HELP = `Fetches Redis and Valkey servers of other versions than the installed one, without installing anything, and prints the path of each.
On Debian only: they come from its newer suites, out of the mirror that the machine's package sources name.

npm run servers -- [name ...]            default: ${SERVER_VERSIONS.join(' ')}
REDIS_SERVER=$(npm run -s servers -- redis-8.6) npm test

Exit code: 0 when all were found or fetched, 1 when one cannot be had.`

const names = process.argv.slice(2)
if (names.includes('--help')) {
  console.log(HELP)
} else {
  try {
    for (const name of names.length > 0 ? names : SERVER_VERSIONS) console.log(fetchServer(name))
  } catch (error) {
    if (!(error instanceof FetchError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
