/** The events of a connection. */

/** The server that answers from now on: the first one, the same as before, or another, which may have other data. */
export type Arrival = 'first' | 'same' | 'other'

export interface ConnectionEvents {
  /** Requests can be sent from now on. */
  usable: [arrival: Arrival]
  /** Requests cannot be sent any more. */
  unusable: []
  /** An attempt to connect has failed. */
  failed: []
  /** A fault that was not reported since the connection last worked. */
  fault: [error: Error]
}
