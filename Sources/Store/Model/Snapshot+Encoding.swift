// The encoding of snapshots (docs/format.md, "Snapshots").

import Codec
import Platform

extension Snapshot {
  static let version: UInt8 = 1

  /// Returns the bytes that a ref holds. Equal snapshots have equal bytes.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(Snapshot.version)
    writer.string(image)
    writer.time(created)
    writer.byte(parent == nil ? 0 : 1)
    if let parent { writer.digest(parent) }
    writer.string(message)
    writer.facts(provenance)
    writer.varint(tables.count)
    for table in tables {
      writer.string(table.name)
      writer.varint(table.rows.count)
      for row in table.rows {
        writer.facts(
          row.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map {
            Fact($0.key, $0.value)
          })
      }
    }
    writer.varint(components.count)
    for component in components {
      writer.string(component.role.text)
      writer.string(component.path)
      component.entry.encodeAttributes(into: &writer)
      component.entry.encodeIDs(into: &writer)
      writer.time(component.entry.modified)
      if let times = component.entry.times { writer.digest(times) }
    }
    writer.varint(notes.count)
    for note in notes {
      writer.byte(note.kind.rawValue)
      writer.string(note.path)
      writer.string(note.detail)
    }
    writer.facts(facts)
    writer.varint(entryCount)
    writer.varint(contentBytes)
    return writer.bytes
  }

  /// Reads a snapshot from the bytes of a ref.
  /// - Throws: `corrupt` for another version, an unknown note, or a value that is not allowed; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> Snapshot {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      let version = try reader.byte()
      guard version == Snapshot.version else {
        throw .corrupt("the snapshot has format version \(version); a newer imgstore is needed")
      }
      let image = try reader.text()
      let created = try reader.time()
      let parent = try reader.byte() == 0 ? nil : try reader.digest()
      let message = try reader.text()
      let provenance = try reader.facts()
      var tables: [Table] = []
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let name = try reader.text()
        var rows: [[String: String]] = []
        for _ in 0..<(try reader.count(bytesEach: 1)) {
          var row: [String: String] = [:]
          for fact in try reader.facts() { row[fact.key] = fact.value }
          rows.append(row)
        }
        tables.append(Table(name: name, rows: rows))
      }
      var components: [Component] = []
      for _ in 0..<(try reader.count(bytesEach: 9)) {
        let role = Role(try reader.text())
        let path = try reader.string()
        var entry = try Entry.decodeAttributes(from: &reader, allowAnyName: true)
        guard entry.name.isEmpty, AbsolutePath(path) != nil else {
          throw .corrupt("a component has an invalid path")
        }
        try entry.decodeIDs(from: &reader)
        entry.modified = try reader.time()
        if entry.tree != nil { entry.times = try reader.digest() }
        components.append(Component(role: role, path: path, entry: entry))
      }
      var notes: [Note] = []
      for _ in 0..<(try reader.count(bytesEach: 3)) {
        guard let kind = Note.Kind(rawValue: try reader.byte()) else {
          throw .corrupt("a note has an unknown kind")
        }
        notes.append(Note(kind, path: try reader.string(), detail: try reader.text()))
      }
      let facts = try reader.facts()
      let entryCount = try reader.varint()
      let contentBytes = try reader.varint()
      try reader.expectEnd()
      return Snapshot(
        image: image, created: created, parent: parent, message: message, provenance: provenance,
        tables: tables, components: components, notes: notes, facts: facts, entryCount: entryCount,
        contentBytes: contentBytes)
    }
  }
}

extension ByteWriter {
  public mutating func time(_ time: Timestamp) {
    signed(time.seconds)
    varint(UInt64(time.nanoseconds))
  }

  public mutating func facts(_ facts: [Snapshot.Fact]) {
    varint(facts.count)
    for fact in facts {
      string(fact.key)
      string(fact.value)
    }
  }
}

extension ByteReader {
  public mutating func time() throws(CodecError) -> Timestamp {
    let seconds = try signed()
    return Timestamp(
      seconds: seconds, nanoseconds: UInt32(try varint(limit: 999_999_999, "nanoseconds")))
  }

  public mutating func facts() throws(CodecError) -> [Snapshot.Fact] {
    var facts: [Snapshot.Fact] = []
    for _ in 0..<(try count(bytesEach: 2)) { facts.append(.init(try text(), try text())) }
    return facts
  }
}
