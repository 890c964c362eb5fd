// The messages of the protocol: a type, a length, and so many bytes.
//
//     type u8 | length of the body u32, little-endian | body
//
// 1. Each type has a limit, which is checked before memory is allocated for a body.
// 2. Bodies have no checksum. ssh protects the connection, frames have checksums, and whatever is stored is
//    compared with its id.
// 3. `Requests.swift` and `Responses.swift` have the bodies.

import Store
import Transfer

/// The type of a message.
public enum MessageType: UInt8, Sendable, CaseIterable {
  // MARK: From the client

  case open = 1
  case images = 2
  case history = 3
  case snapshot = 4
  case objects = 5
  case directories = 6
  case contents = 7
  case frames = 8
  case measure = 9
  case begin = 10
  case missing = 11
  case missingBlobs = 12
  /// A frame of a session. It has no answer.
  case append = 13
  case commit = 14
  case tag = 15
  case pin = 16
  case end = 17
  /// The chunks that frames are based on. This type and the next two need the feature `bases`.
  case bases = 18
  case framesWithBases = 19
  case measureWithBases = 20
  /// The chunks that rest on the same ones. It needs the feature `siblings`.
  case siblings = 21

  // MARK: From the server

  case done = 32
  case opened = 33
  case imageList = 34
  case historyList = 35
  case snapshotRecord = 36
  case frame = 37
  case contentList = 38
  case amount = 39
  case bitmap = 40
  case number = 41
  case digestList = 42
  /// The request failed; the connection stays usable.
  case failure = 62
  /// A frame of the session is wrong or cannot be stored. It comes at any time, and ends the session.
  case appendFailure = 63

  // MARK: From both

  /// Says that this side is alive.
  case keepAlive = 64

  /// The size of type and length.
  public static let headerBytes = 5

  /// The most object names in one request.
  public static let maxNames = 1 << 19
  /// The most directories in one request: their objects are in memory together.
  public static let maxDirectories = 1 << 10
  /// The largest encoded snapshot. Decoded, it takes up to twenty times as much memory.
  public static let maxSnapshotBytes = 8 << 20
  /// The largest list of parts in one message.
  static let maxListBytes = 36 << 20

  /// The largest body.
  public var limitBytes: Int {
    switch self {
    case .images, .begin, .end, .done, .keepAlive: 0
    case .open: 8 << 10
    case .history, .snapshot, .tag, .pin, .opened, .amount, .number: 8 << 10
    case .failure, .appendFailure: 32 << 10
    case .objects, .frames, .measure, .missing: MessageType.maxNames * 34 + 16
    case .directories: MessageType.maxDirectories * 64 + 16
    case .bases: MessageType.maxNames * 34 + 16
    case .framesWithBases, .measureWithBases: MessageType.maxNames * 66 + 32
    case .contents, .missingBlobs, .siblings, .digestList: MessageType.maxNames * 32 + 16
    case .append, .frame: RawFrame.maxBytes
    case .commit, .snapshotRecord: MessageType.maxSnapshotBytes + SignatureList.maxBytes + (1 << 20)
    case .imageList: 16 << 20
    case .historyList: 32 << 20
    case .contentList: MessageType.maxListBytes
    case .bitmap: MessageType.maxNames / 8 + 16
    }
  }
}

/// What an account may do at a remote.
public enum RemoteRights: UInt8, Sendable, CaseIterable {
  /// Read everything.
  case readOnly = 1
  /// Also push snapshots, new tags and pins. Nothing is deleted, overwritten or moved.
  case appendOnly = 2
  /// Everything that the protocol has.
  case full = 3
}

/// Optional parts of the protocol: both sides name theirs, and use those that both have.
public struct Features: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The features of this program.
  public static let own: Features = [.bases, .siblings]

  /// Frames with bases, also frames of differences: they arrive in sessions, and in answers to
  /// `framesWithBases`. Older programs, which do not know differences, name bit 0 instead, and get all frames
  /// without bases.
  public static let bases = Features(rawValue: 4)

  /// Answers to `siblings`.
  public static let siblings = Features(rawValue: 2)
}
