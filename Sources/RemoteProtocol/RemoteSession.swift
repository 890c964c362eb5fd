// A session of a remote store: questions, frames, snapshots.
//
// 1. Frames are sent without waiting for an answer. The server says out of band that it refuses one; then the
//    session has failed, and every later call throws the server's error.
// 2. A blob that the server lacks is neither a chunk nor a usable recipe there, so both are known to be missing
//    without another question, until something is sent.

import Codec
import Platform
import Store
import Transfer

/// Objects on their way to a remote store.
final class RemoteSession: TransferSession {
  private static let questionsEach = 1 << 16

  private let connection: RemoteClient
  private var missingBlobs: Set<Digest> = []
  private var hasEnded = false

  init(_ connection: RemoteClient) { self.connection = connection }

  var acceptsBases: Bool { connection.features.contains(.bases) }

  func missing(_ names: [ObjectName]) throws -> [ObjectName] {
    let questions = names.filter { !isKnownMissing($0) }
    var answers: Set<ObjectName> = []
    for batch in batches(questions, RemoteSession.questionsEach) {
      answers.formUnion(
        try ask(.missing(batch), batch))
    }
    return names.filter { isKnownMissing($0) || answers.contains($0) }
  }

  private func isKnownMissing(_ name: ObjectName) -> Bool {
    (name.kind == .chunk || name.kind == .recipe) && missingBlobs.contains(name.id)
  }

  func missingBlobs(_ blobs: [Digest]) throws -> [Digest] {
    var missing: [Digest] = []
    for batch in batches(blobs, RemoteSession.questionsEach) {
      missing += try ask(.missingBlobs(batch), batch)
    }
    missingBlobs.formUnion(missing)
    return missing
  }

  private func ask<T>(_ request: Request, _ items: [T]) throws -> [T] {
    try connection.request(request) { connection in
      let body = try connection.answer(.bitmap)
      return try connection.decode(body) { (body) throws(CodecError) in
        try Answers.decodeBitmap(body, items)
      }
    }
  }

  func append(_ frame: RawFrame) throws {
    if !missingBlobs.isEmpty { missingBlobs = [] }
    try connection.exclusively { connection in
      try connection.stream.send(.append, frame.bytes)
      try connection.checkSession()
    }
  }

  func commit(_ snapshot: TransferredSnapshot, bases: [Digest]) throws -> Int {
    missingBlobs = []
    let request = Request.commit(snapshot, bases: Array(bases.suffix(Request.maxBases)))
    return try number(request)
  }

  func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int {
    try self.number(.tag(tag, image, number))
  }

  private func number(_ request: Request) throws -> Int {
    try connection.request(request) { connection in
      let number = try connection.decode(try connection.answer(.number), Answers.decodeNumber)
      guard number > 0, number < 1 << 50 else {
        throw TransferError.damaged(connection.name, "answered with a number that no snapshot has")
      }
      return Int(number)
    }
  }

  func pin(_ image: ImageName, _ number: Int, reason: String) throws {
    try connection.request(.pin(image, number, reason: reason)) { connection in
      _ = try connection.answer(.done)
    }
  }

  func end() {
    if hasEnded { return }
    hasEnded = true
    try? connection.request(.end) { connection in _ = try connection.answer(.done) }
  }
}
