/**
 * The command line of the bench. Promises an exit code: 0, or 1 when something failed, 2 for a wrong use, 128 + the
 * signal's number after a signal. A further command is a file of its own and one line in `commands`.
 */
import { constants } from 'node:os'
import { acquire } from './acquire.ts'
import { cluster } from './cluster.ts'
import { type Command, UsageError } from './command.ts'
import { guard } from './guard.ts'
import { handoff } from './handoff.ts'
import { hold } from './hold.ts'
import { loss } from './loss.ts'
import { overload } from './overload.ts'
import { permits } from './permits.ts'
import { quorum } from './quorum.ts'
import { release } from './release.ts'
import { replicas } from './replicas.ts'
import { report } from './report.ts'
import { scale } from './scale.ts'
import { wheel } from './wheel.ts'

const commands: ReadonlyMap<string, Command> = new Map([
  ['hold', hold],
  ['scale', scale],
  ['acquire', acquire],
  ['release', release],
  ['permits', permits],
  ['handoff', handoff],
  ['loss', loss],
  ['overload', overload],
  ['wheel', wheel],
  ['cluster', cluster],
  ['quorum', quorum],
  ['replicas', replicas],
  ['guard', guard],
  ['report', report],
])

const help = `Measures leasewheel beside other Redis lock libraries, each with a Redis server and processes of its own.

npm run bench -- <command> [options]

${[...commands].map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`).join('\n')}

npm run bench -- <command> --help tells a command's options.`

function isHelp(argument: string | undefined): boolean {
  return argument === '--help' || argument === '-h'
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (isHelp(name)) return console.log(help)
  if (name === undefined) throw new UsageError(`Expected a command: ${[...commands.keys()].join(', ')}`)
  const command = commands.get(name)
  if (command === undefined) {
    throw new UsageError(`Unknown command \`${name}\`; the commands are ${[...commands.keys()].join(', ')}`)
  }
  if (args.some(isHelp)) return console.log(command.help)
  await command.run(args)
}

// `exit` listeners end the servers and the child processes, however this process ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run bench -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
