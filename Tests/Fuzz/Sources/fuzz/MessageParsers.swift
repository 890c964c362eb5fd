// The messages of the remote protocol, which come from the other end of a connection.

import Codec
import Platform
import RemoteProtocol
import Store
import Transfer

/// A message that is read is written as it was. The first byte is its type.
func fuzzMessage(_ bytes: [UInt8]) {
  _ = Greeting(bytes)
  guard let first = bytes.first, let type = MessageType(rawValue: first) else { return }
  let body = Array(bytes.dropFirst())
  if let request = try? Request.decode(type, body) {
    hold(request.type == type && request.body == body, "a request has one spelling")
  }
  switch type {
  case .opened: fuzzOpened(body)
  case .imageList:
    guard let images = try? Answers.decodeImages(body) else { return }
    hold(Answers.images(images) == body, "images have one spelling")
  case .historyList:
    guard let image = try? ImageName("compute"),
      let history = try? Answers.decodeHistory(body, of: image)
    else { return }
    let again = try? Answers.decodeHistory(Answers.history(history), of: image)
    hold(
      again?.snapshots == history.snapshots && again?.tags == history.tags, "a history reads again")
  case .snapshotRecord:
    guard let snapshot = try? Answers.decodeSnapshot(body) else { return }
    hold(Answers.snapshot(snapshot) == body, "a snapshot has one spelling")
    hold(snapshot.snapshot.encode() == snapshot.bytes, "a snapshot is its bytes")
  case .contentList: fuzzContents(body)
  case .bitmap:
    let items = Array(0..<20)
    guard let subset = try? Answers.decodeBitmap(body, items) else { return }
    hold(Answers.bitmap(items, subset) == body, "bits have one spelling")
  case .failure, .appendFailure:
    guard let failure = try? FailureMessage.decode(body) else { return }
    let error = failure.error(at: "there")
    hold(!error.message.holdsControlCharacters, "errors are printable")
    hold(!error.hint.holdsControlCharacters, "hints are printable")
  case .frame, .append:
    guard let frame = try? RawFrame(body) else { return }
    hold(frame.bytes == body && frame.header.frameBytes == body.count, "a frame has one length")
    _ = try? FrameDecoder().verify(frame)
  default: break
  }
}

private func fuzzOpened(_ body: [UInt8]) {
  guard let response = try? OpenResponse.decode(body) else { return }
  hold(!response.store.holdsControlCharacters, "paths are printable")
}

private func fuzzContents(_ body: [UInt8]) {
  var (contents, parts): ([BlobContent?], Int) = ([], 0)
  guard (try? ContentListEncoder.decode(body, into: &contents, limit: 1000, parts: &parts)) != nil
  else { return }
  var encoder = ContentListEncoder()
  for content in contents { encoder.add(content) }
  hold(encoder.take() == body, "contents have one spelling")
  hold(parts <= body.count, "no more parts than bytes")
}

/// One message of each type.
func messageSeeds() -> [[UInt8]] {
  let id = SHA256.digest(of: [1])
  let names = [ObjectName(kind: .tree, id: id), ObjectName(kind: .chunk, id: id)]
  let empty = Snapshot(
    image: "compute", created: Timestamp(seconds: 1, nanoseconds: 0), parent: id, message: "m",
    provenance: [], tables: [], components: [], notes: [], facts: [], entryCount: 0,
    contentBytes: 0)
  guard let image = try? ImageName("compute"),
    let snapshot = try? TransferredSnapshot(
      empty.encode(),
      signatures: [
        SnapshotSignature(
          kind: .signed, statement: [1, 2], key: id, signature: [UInt8](repeating: 1, count: 64))
      ])
  else { return [] }
  let identity = ClientIdentity(url: "ssh://host/store", user: "root")
  let requests: [Request] = [
    .open(OpenRequest(features: [], store: Array("/srv".utf8), client: identity)), .images,
    .history(image), .snapshot(image, 3), .objects(names),
    .directories([Tree.IDs(tree: id, times: id)]), .contents([id]), .frames(names),
    .measure(names), .begin, .missing(names), .missingBlobs([id]), .commit(snapshot, bases: [id]),
    .tag("production", image, 3), .pin(image, 3, reason: "because"), .end,
    .bases(names), .framesWithBases(names, bases: [id]), .measureWithBases(names, bases: [id]),
    .siblings(bases: [id]),
  ]
  var contents = ContentListEncoder()
  var references = BlobReferences()
  references.hasRecipe = true
  references.chunks = [id]
  references.blobs = [(id, 7)]
  for content in [nil, .chunk, .recipe(references)] as [BlobContent?] { contents.add(content) }
  let history = RemoteHistory(
    image: image, snapshots: [.init(number: 1, id: id)], tags: ["a": 1], pins: [1: "b"])
  let answers: [(MessageType, [UInt8])] = [
    (.opened, OpenResponse(features: [], rights: .full, store: "/srv").body),
    (.imageList, Answers.images([image])), (.historyList, Answers.history(history)),
    (.snapshotRecord, Answers.snapshot(snapshot)), (.contentList, contents.take()),
    (.bitmap, [1, 2, 3]), (.number, Answers.number(300)),
    (.digestList, Answers.digests([id])),
    (.failure, FailureMessage(TransferError(.failed, "a", "b", hint: "c")).body),
  ]
  return requests.map { [$0.type.rawValue] + $0.body } + answers.map { [$0.0.rawValue] + $0.1 }
    + frameSeeds() + [Greeting(program: "imgstore 1").line]
}

private func frameSeeds() -> [[UInt8]] {
  var frames: [[UInt8]] = []
  let repacker = FrameRepacker()
  func add(_ frame: RawFrame) { frames.append([MessageType.frame.rawValue] + frame.bytes) }
  let bytes = Array("content of a chunk".utf8)
  try? bytes.withUnsafeBytes {
    try repacker.add(.chunk, SHA256.digest(of: bytes), $0, add)
  }
  try? repacker.finish(add)
  return frames
}
