/**
 * Counts the commands that clients send, by the server's own word. Promises to leave out what scripts call, which the
 * counters of INFO do not: total_commands_processed and commandstats include it. MONITOR marks it. The server has to
 * write down every command for that, so nothing else should be measured meanwhile.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { sectionStep } from './section.ts'

export interface Traffic {
  /** Those for the section left out. */
  readonly commands: number
  /** Times that the section was entered. */
  readonly entries: number
}

/** A line of MONITOR: `+1700000000.123456 [0 127.0.0.1:50000] "incr" "key"`, and `[0 lua]` where a script called it. */
const LINE = /^\+[\d.]+ \[\d+ (?<source>[^\]]+)\] (?<command>.*)$/

/** @param duration in ms */
export async function watchTraffic(url: string, duration: number): Promise<Traffic> {
  let commands = 0
  let entries = 0
  const { hostname, port } = new URL(url)
  // Not by ioredis: when lines arrive along with the answer to MONITOR, it takes them for answers too and fails.
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  createInterface({ input: socket }).on('line', (line) => {
    const { source, command } = LINE.exec(line)?.groups ?? {}
    if (command === undefined || source === 'lua') return
    const step = sectionStep(command)
    if (step === 'none') commands++
    if (step === 'enter') entries++
  })
  socket.write('MONITOR\r\n')
  await setTimeout(duration)
  socket.destroy()
  return { commands, entries }
}
