export type OwnedProcess = { pid: number; title: string; environment: string }
export function processesOf(folder: string): OwnedProcess[]
export function killAll(list: () => OwnedProcess[]): Promise<void>
