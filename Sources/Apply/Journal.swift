// What is written down before a live image is changed (docs/format.md, "Journals"), so that the change
// can be completed, or taken back, by whoever comes after a crash.
//
// 1. A snapshot holds everything, so a journal needs no list of steps: it names where the change leads
//    and where it came from, and going on is planning anew towards either.
// 2. Everything that a change makes under a name of its own carries the journal's token, so that
//    leftovers are known without doubt.

import Codec
import Platform
import Store

/// How a tree is made what it shall be.
public enum ApplyStrategy: UInt8, Sendable, CaseIterable {
  /// As suits the tree and who uses it.
  case automatic = 0
  /// Built beside the live tree, which it replaces in one step.
  case swap = 1
  /// The fewest changes, in the live tree.
  case inPlace = 2
}

/// A change of a live image, under way.
public struct Journal: Sendable, Equatable {
  /// What people call it.
  public enum Operation: UInt8, Sendable {
    case revert = 1
    case importing = 2
    case copy = 3
    /// A tree is made ready for nodes.
    case packing = 4
  }
  public var operation: Operation
  public var image: String
  public var started: Timestamp
  /// Part of all names that the change makes for a time: `.imgstore-TOKEN…`.
  public var token: String
  public var method: ApplyStrategy
  /// The snapshot whose state the image will have.
  public var target: Digest
  /// The snapshot that has the state before; nil where nothing has (`--no-safety`).
  public var before: Digest?
  /// The verb, and what the snapshot that records the change will say.
  public var command: String
  public var message: String
  /// What the verb must know to go on.
  public var options: [Snapshot.Fact]

  public init(
    operation: Operation, image: String, started: Timestamp, method: ApplyStrategy, target: Digest,
    before: Digest?, command: String, message: String, options: [Snapshot.Fact] = []
  ) {
    self.operation = operation
    self.image = image
    self.started = started
    token = randomName()
    self.method = method
    self.target = target
    self.before = before
    self.command = command
    self.message = message
    self.options = options
  }

  /// The option that says who began the change.
  public static let userKey = "user"

  /// The values of an option.
  public func values(_ key: String) -> [String] {
    options.filter { $0.key == key }.map(\.value)
  }

  /// What the name of everything begins with that a change with this token makes for a time.
  public static func prefix(_ token: String) -> [UInt8] { Array(".imgstore-\(token)".utf8) }
}

// MARK: - Encoding

extension Journal {
  static let magic: [UInt8] = Array("IMGJOURNAL".utf8) + [1, 0x0a]

  public func encode() -> [UInt8] {
    var body = ByteWriter()
    body.byte(operation.rawValue)
    body.string(image)
    body.signed(started.seconds)
    body.varint(UInt64(started.nanoseconds))
    body.string(token)
    body.byte(method.rawValue)
    body.digest(target)
    body.byte(before == nil ? 0 : 1)
    if let before { body.digest(before) }
    body.string(command)
    body.string(message)
    body.varint(options.count)
    for option in options {
      body.string(option.key)
      body.string(option.value)
    }
    var writer = ByteWriter()
    writer.raw(Journal.magic)
    writer.word32(UInt32(body.bytes.count))
    writer.raw(body.bytes)
    writer.digest(SHA256.digest(of: body.bytes))
    return writer.bytes
  }

  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> Journal {
    let body = try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      let magic = try reader.raw(min(Journal.magic.count, reader.remaining))
      guard magic == Journal.magic else {
        throw .corrupt(
          magic.starts(with: Journal.magic.dropLast(2))
            ? "it is of another version of imgstore" : "the file is no journal")
      }
      let body = try reader.raw(Int(try reader.word32()))
      guard try reader.digest() == SHA256.digest(of: body) else {
        throw .corrupt("its SHA-256 does not match")
      }
      try reader.expectEnd()
      return body
    }
    return try withReader(body) { (reader: inout ByteReader) throws(CodecError) in
      guard let operation = Operation(rawValue: try reader.byte()) else {
        throw .corrupt("an unknown operation")
      }
      let image = try reader.text()
      let started = Timestamp(
        seconds: try reader.signed(),
        nanoseconds: UInt32(try reader.varint(limit: 999_999_999, "nanoseconds")))
      let token = try reader.text()
      guard token.utf8.count >= 16, token.utf8.allSatisfy(isHexDigit) else {
        throw .corrupt("its token is not one")
      }
      guard let method = ApplyStrategy(rawValue: try reader.byte()) else {
        throw .corrupt("an unknown method")
      }
      let target = try reader.digest()
      let before = try reader.byte() == 0 ? nil : try reader.digest()
      var journal = Journal(
        operation: operation, image: image, started: started, method: method, target: target,
        before: before, command: try reader.text(), message: try reader.text())
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        journal.options.append(.init(try reader.text(), try reader.text()))
      }
      try reader.expectEnd()
      journal.token = token
      return journal
    }
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}
