/** What the system refuses, in a sentence that says what to do. */

/** What is wrong with a path that is read, and what to do. */
const READING: Readonly<Record<string, string>> = {
  ENOENT: 'is not there: check the spelling, and the folder you are in',
  ENOTDIR: 'is no folder, or leads through a file: name a folder',
  EISDIR: 'is a folder: name the files in it',
  EACCES: 'may not be read: check who owns it, and its rights',
  EPERM: 'may not be read: check who owns it, and its rights',
}

/** What is wrong with a path that is written. */
const WRITING: Readonly<Record<string, string>> = {
  ENOENT: 'cannot be written: its folder is not there, make it first',
  ENOTDIR: 'cannot be written: it leads through a file',
  EISDIR: 'cannot be written: it is a folder, name a file in it',
  EACCES: 'cannot be written: check who owns the folder, and its rights',
  EPERM: 'cannot be written: check who owns the folder, and its rights',
  EROFS: 'cannot be written: the disk may only be read, choose another',
  ENOSPC: 'cannot be written: the disk is full, make room or choose another',
}

/** The system's fault as one that names the path as it was typed; any other as it is. */
export function unreadable(path: string, error: unknown): unknown {
  return inWords(path, error, READING)
}

/** As `unreadable`, of a path that is written. */
export function unwritable(path: string, error: unknown): unknown {
  return inWords(path, error, WRITING)
}

function inWords(path: string, error: unknown, words: Readonly<Record<string, string>>): unknown {
  const { code, syscall, message } = Object(error) as NodeJS.ErrnoException
  if (code === undefined || syscall === undefined) return error
  // The system's own words stand between its code and the name of its function.
  const said = words[code] ?? `fails: ${/^\w+: ([^,]*)/.exec(message)?.[1] ?? message}`
  return Object.assign(new Error(`${path} ${said}`, { cause: error }), { code })
}
