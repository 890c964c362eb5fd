// The record that is written before a live image is changed (docs/format.md, "Journals"). After a
// crash, another command uses it to complete the change or to roll it back.
//
// 1. A snapshot contains the complete state, so a journal needs no list of steps. It names the
//    target and the previous snapshot, and resuming means planning again towards either.
// 2. All temporary names of a change contain the journal's token, so that leftovers are recognized reliably.

import Codec
import Platform
import Store

/// An unfinished change of a live image.
public struct Journal: Sendable, Equatable {
  /// The command that started the change.
  public enum Operation: UInt8, Sendable {
    /// A revert.
    case revert = 1
    /// An import.
    case importing = 2
    /// A copy of an image.
    case copy = 3
    /// A tree is prepared for nodes.
    case packing = 4
  }
  /// The kind of change.
  public var operation: Operation
  /// The image's name.
  public var image: String
  /// The time when the change started.
  public var started: Timestamp
  /// The part that all temporary names of the change have in common: `.imgstore-TOKEN…`.
  public var token: String
  /// The requested method.
  public var method: ApplyStrategy
  /// The snapshot that the image will match.
  public var target: Digest
  /// The snapshot of the previous state; nil if there is none (`--no-safety`).
  public var before: Digest?
  /// The command, recorded in the snapshot of the change.
  public var command: String
  /// The message of that snapshot.
  public var message: String
  /// The options that the command needs to resume.
  public var options: [Snapshot.Fact]

  /// Creates a journal with a new token.
  public init(
    operation: Operation, image: String, started: Timestamp, method: ApplyStrategy, target: Digest,
    before: Digest?, command: String, message: String, options: [Snapshot.Fact] = []
  ) {
    self.operation = operation
    self.image = image
    self.started = started
    token = randomName()
    (self.method, self.target, self.before, self.command) = (method, target, before, command)
    (self.message, self.options) = (message, options)
  }

  /// The key of the option that names the user who started the change.
  public static let userKey = "user"

  /// Returns the values of an option.
  public func values(_ key: String) -> [String] {
    options.filter { $0.key == key }.map(\.value)
  }
}

// MARK: - Encoding

extension Journal {
  static let magic: [UInt8] = Array("IMGJOURNAL".utf8) + [1, 0x0a]

  /// Returns the journal's bytes (docs/format.md, "Journals").
  public func encode() -> [UInt8] {
    var body = ByteWriter()
    body.byte(operation.rawValue)
    body.string(image)
    body.time(started)
    body.string(token)
    body.byte(method.rawValue)
    body.digest(target)
    body.byte(before == nil ? 0 : 1)
    if let before { body.digest(before) }
    body.string(command)
    body.string(message)
    body.facts(options)
    var writer = ByteWriter()
    writer.raw(Journal.magic)
    writer.word32(UInt32(body.bytes.count))
    writer.raw(body.bytes)
    writer.digest(SHA256.digest(of: body.bytes))
    return writer.bytes
  }

  /// Decodes a journal.
  /// - Throws: `CodecError.corrupt` if the file is not a journal, is damaged or has another
  ///   version; `CodecError.truncated`; `CodecError.overLimit`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> Journal {
    let body = try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      let magic = try reader.raw(min(Journal.magic.count, reader.remaining))
      guard magic == Journal.magic else {
        throw .corrupt(
          magic.starts(with: Journal.magic.dropLast(2))
            ? "it was written by another version of imgstore" : "the file is not a journal")
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
      let started = try reader.time()
      let token = try reader.text()
      guard token.utf8.count >= 16, token.utf8.allSatisfy(isHexDigit) else {
        throw .corrupt("its token is invalid")
      }
      guard let method = ApplyStrategy(rawValue: try reader.byte()) else {
        throw .corrupt("an unknown method")
      }
      let target = try reader.digest()
      let before = try reader.byte() == 0 ? nil : try reader.digest()
      var journal = Journal(
        operation: operation, image: image, started: started, method: method, target: target,
        before: before, command: try reader.text(), message: try reader.text(),
        options: try reader.facts())
      try reader.expectEnd()
      journal.token = token
      return journal
    }
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }
}
