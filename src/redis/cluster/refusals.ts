/** What an error reply says of a call for one slot. Pure. */
import { codeOf, isReply, kindOf, refusesCommand } from '../reply-fault.ts'

/** Whether the node rather than the call may be to blame. */
export function isUnclear(error: Error): boolean {
  return isReply(error) && kindOf(error) === 'unclear' && !isRedirect(error)
}

function isRedirect(error: Error): boolean {
  return /^(MOVED|ASK)\b/.test(error.message)
}

/** Whether the node does not know the script by its SHA, or does not run scripts so. */
export function isAboutScript(error: Error): boolean {
  return codeOf(error) === 'NOSCRIPT' || refusesCommand(error)
}
