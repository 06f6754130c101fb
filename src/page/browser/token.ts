/**
 * The secret that a change needs. It may come with the address, behind `#token=`: that part of an address is never sent. It stays in this tab, and
 * goes from the address at once.
 */

const NAME = 'leasewheel-token'

export function takeToken(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given === null) return
  keepToken(given)
  history.replaceState(null, '', location.pathname + location.search)
}

export function knownToken(): string | undefined {
  return sessionStorage.getItem(NAME) ?? undefined
}

export function keepToken(token: string): void {
  sessionStorage.setItem(NAME, token)
}

export function forgetToken(): void {
  sessionStorage.removeItem(NAME)
}
