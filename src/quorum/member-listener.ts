/** What members report on their own, and what the manager is told of it. */
import type { BackendListener } from '../backend.ts'
import { capital, type Council } from './council.ts'
import type { QuorumMember } from './quorum-member.ts'

/** @param isConnected whether a majority can be asked now. @returns a listener for each member. */
export function listenTo(
  council: Council,
  listener: BackendListener,
  isConnected: () => boolean,
): readonly BackendListener[] {
  let connected = isConnected()
  const onConnection = (cause?: Error): void => {
    const before = connected
    connected = isConnected()
    if (connected && !before) listener.onConnected?.()
    if (before && !connected) listener.onDisconnected?.(cause)
  }
  return council.members.map((member) => listenerOf(member, council, listener, onConnection))
}

function listenerOf(
  member: QuorumMember,
  council: Council,
  listener: BackendListener,
  onConnection: (cause?: Error) => void,
): BackendListener {
  const { hints, undoing, clock } = council
  return {
    onRecovered: () => {
      undoing.onRecovered(member)
      listener.onRecovered()
    },
    onConnected: () => {
      council.look(clock.now())
      if (member.toldAway) council.tell(`${capital(member.label)} is back`)
      member.toldAway = false
      onConnection()
      undoing.onRecovered(member)
    },
    onDisconnected: (cause) => {
      if (!council.closed && !member.usable && !member.toldAway) {
        member.toldAway = true
        council.tell(`${capital(member.label)} is away${cause ? `: ${cause.message}` : ''}`, cause)
      }
      onConnection(cause)
    },
    onSuspect: () => {
      hints.clear()
      council.onSuspect(member)
      undoing.onRecovered(member)
      // It may lack keys: the next renewal writes them again.
      listener.onSuspect()
    },
    onMissed: () => {
      hints.clear()
      listener.onMissed()
    },
    onChange: (keys) => {
      if (keys === undefined) {
        hints.clear()
        listener.onChange()
        return
      }
      const { silent } = council
      const told = keys.filter((key) => hints.onChange(key, member.index, silent))
      if (told.length > 0) listener.onChange(told)
    },
    onUnwatched: () => listener.onUnwatched(),
    onForgotten: () => listener.onForgotten(),
    onError: (error) => council.tell(`${capital(member.label)}: ${error.message}`, error),
  }
}
