// The entries that `ls` and `find` print, as lines or as one document.

import Images

/// Prints entries one by one.
struct EntryList {
  private var json: JSONList<EntriesJSON>?

  init(json: Bool) throws { if json { self.json = JSONList() } }

  /// Prints an entry: the line, or its JSON form.
  mutating func add(_ found: LocatedEntry, _ line: @autoclosure () -> String) throws {
    if json == nil { print(line()) } else { try json?.add(found) }
  }

  /// Ends the document.
  mutating func end() throws { json?.end() }
}
