// The entries that `ls` and `find` print, as lines or as one document.

import Images

/// Entries, printed as they come.
struct EntryList {
  private var json: JSONList<EntriesJSON>?

  init(json: Bool) throws { if json { self.json = JSONList() } }

  mutating func add(_ found: FoundEntry, _ line: @autoclosure () -> String) throws {
    if json == nil { print(line()) } else { try json?.add(EntryJSON(found.path, found.entry)) }
  }

  mutating func end() throws { json?.end() }
}
