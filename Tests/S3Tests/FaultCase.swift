// The generated cases of the fault proxy: each operation with each fault, once and for ever.
//
// A case ends in the right result, or in an error of a kind that fits the fault. Some lies cannot be seen by a
// client of this protocol (a wrong length in an answer to HEAD): such cases only have to end.

import ObjectStorage
import ObjectStorageTestSupport
import Testing

/// A call of the storage.
enum Operation: String, CaseIterable, Sendable {
  case read, readRange, download, createUnique, createShared, createExisting, write, size, list
  case delete, upload, createLarge

  var writes: Bool {
    switch self {
    case .createUnique, .createShared, .createExisting, .write, .delete, .upload, .createLarge: true
    default: false
    }
  }
}

/// A fault with the outcomes that it may have.
struct NamedFault: Sendable {
  let name: String
  let fault: Fault
  /// The kinds of errors, if the fault lasts.
  let kinds: [StorageError.Kind]
  /// Whether a single one must not be seen by the caller.
  var isRepaired = true
  /// The operations whose result it may change without a trace.
  var invisible: Set<Operation> = []

  private static let temporary: [StorageError.Kind] = [.unavailable]
  /// A connection that ends inside a body.
  private static let broken: [StorageError.Kind] = [.unavailable, .damaged]

  static let all: [NamedFault] = connections + statuses + lies + floods + documents

  private static let connections = [
    NamedFault(name: "dropRequest", fault: .dropRequest, kinds: temporary),
    NamedFault(name: "dropAnswer", fault: .dropAnswer, kinds: temporary),
    NamedFault(name: "short delay", fault: .delay(seconds: 0.05), kinds: []),
    NamedFault(name: "long delay", fault: .delay(seconds: 0.6), kinds: temporary),
    NamedFault(name: "truncated status line", fault: .truncate(bytes: 8), kinds: temporary),
    NamedFault(name: "truncated head", fault: .truncate(bytes: 40), kinds: temporary),
    NamedFault(
      name: "truncated body", fault: .truncateBody(bytes: 30), kinds: broken,
      // Answers without a body are whole.
      invisible: [.delete, .write, .createUnique, .createShared, .size, .createExisting]),
    NamedFault(name: "stalled head", fault: .stall(bytes: 30), kinds: temporary),
    NamedFault(name: "stalled body", fault: .stall(bytes: 200), kinds: broken),
    NamedFault(
      name: "duplicateRequest", fault: .duplicateRequest, kinds: [.unavailable],
      // Another writer may have the same content: false is right.
      invisible: [.createShared]),
    NamedFault(
      name: "duplicateAnswer", fault: .duplicateAnswer, kinds: broken + [.unsuitable],
      // The next request of the connection may get the second answer.
      isRepaired: false),
    NamedFault(
      name: "swapAnswer", fault: .swapAnswer, kinds: [],
      invisible: Set(Operation.allCases)),
    NamedFault(name: "continue", fault: .continueFirst, kinds: []),
    NamedFault(name: "garbage", fault: .raw([0, 1, 2, 0x0d, 0x0a, 0xff]), kinds: temporary),
    NamedFault(name: "no HTTP", fault: .raw(Array("SSH-2.0-x\r\n\r\n".utf8)), kinds: temporary),
  ]

  private static func status(_ status: Int, _ code: String) -> TestAnswer { .error(status, code) }

  private static let statuses =
    [
      (500, "InternalError"), (503, "SlowDown"), (502, "BadGateway"), (429, "TooManyRequests"),
      (409, "OperationAborted"),
    ].flatMap { code, name in
      [
        NamedFault(name: "\(code)", fault: .answer(status(code, name)), kinds: temporary),
        NamedFault(
          name: "\(code) after execution", fault: .replaceAnswer(status(code, name)),
          kinds: temporary, invisible: [.createShared]),
      ]
    } + [
      NamedFault(
        name: "403", fault: .answer(status(403, "AccessDenied")), kinds: [.denied],
        isRepaired: false),
      NamedFault(
        name: "404", fault: .answer(status(404, "NoSuchKey")), kinds: [.notFound, .unavailable],
        isRepaired: false, invisible: [.size, .delete]),
      NamedFault(
        name: "412", fault: .answer(status(412, "PreconditionFailed")),
        kinds: [.damaged, .unsuitable], isRepaired: false, invisible: [.createExisting]),
      NamedFault(
        name: "412 after execution", fault: .replaceAnswer(status(412, "PreconditionFailed")),
        kinds: [.damaged, .unsuitable], isRepaired: false, invisible: [.createShared]),
      NamedFault(
        name: "redirect",
        fault: .answer(
          TestAnswer(307, [("Location", "http://127.0.0.1:1/"), ("Content-Length", "0")])),
        kinds: [.settings], isRepaired: false),
    ]

  private static let lies = [
    NamedFault(
      name: "wrong entity tag", fault: .setHeader("ETag", "\"lie\""), kinds: [.damaged]),
    NamedFault(
      name: "hostile entity tag", fault: .setHeader("ETag", "<Part>&\"'"), kinds: [.damaged],
      isRepaired: false),
    NamedFault(
      name: "longer length", fault: .setHeader("Content-Length", "2000000"), kinds: broken,
      isRepaired: false, invisible: [.size]),
    NamedFault(
      name: "shorter length", fault: .setHeader("Content-Length", "3"), kinds: broken,
      isRepaired: false, invisible: [.size]),
    NamedFault(
      name: "negative length", fault: .setHeader("Content-Length", "-1"),
      kinds: broken, isRepaired: false),
    NamedFault(
      name: "huge length", fault: .setHeader("Content-Length", "18446744073709551615"),
      kinds: broken + [.tooLarge], isRepaired: false, invisible: [.size]),
    NamedFault(
      name: "wrong range", fault: .setHeader("Content-Range", "bytes 0-9/10"), kinds: [.damaged],
      isRepaired: false),
    NamedFault(
      name: "no range", fault: .setHeader("Content-Range", nil), kinds: [.damaged],
      isRepaired: false),
    NamedFault(
      name: "corrupt body", fault: .corruptBody, kinds: broken,
      isRepaired: false, invisible: [.readRange, .list, .upload, .createLarge]),
    NamedFault(
      name: "wrong checksum", fault: .setHeader("x-amz-checksum-sha256", "AAAA"),
      kinds: [.damaged], isRepaired: false),
    NamedFault(
      name: "ignored condition", fault: .removeRequestHeader("if-none-match"), kinds: [],
      // The probe finds such a service before anything is written.
      invisible: [.createExisting]),
  ]

  private static let floods = [
    NamedFault(name: "endless headers", fault: .endlessHeaders, kinds: temporary),
    NamedFault(
      name: "endless body", fault: .endlessBody,
      kinds: broken + [.tooLarge], isRepaired: false, invisible: [.size]),
    NamedFault(
      name: "endless refusal",
      fault: .raw(
        Array("HTTP/1.1 403 No\r\n\r\n".utf8) + [UInt8](repeating: 0x78, count: 1 << 20)),
      kinds: [.denied], isRepaired: false),
  ]

  private static func document(_ name: String, _ text: String) -> NamedFault {
    NamedFault(
      name: name, fault: .answer(TestAnswer(200, [("ETag", "\"x\"")], Array(text.utf8))),
      kinds: [.damaged, .unavailable, .tooLarge, .unsuitable], isRepaired: false,
      // Any answer with status 200 says that these are done, and any body is an object of that length.
      invisible: [
        .read, .download,
        .write, .delete, .size, .createUnique, .createShared, .createExisting, .upload,
        .createLarge,
      ])
  }

  private static func listing(_ name: String, _ body: String) -> NamedFault {
    document(name, "<ListBucketResult>\(body)</ListBucketResult>")
  }

  private static let documents = [
    document(
      "entity expansion",
      "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>"
        + "<ListBucketResult><IsTruncated>&b;</IsTruncated></ListBucketResult>"),
    document(
      "external entity",
      "<!DOCTYPE l SYSTEM \"file:///etc/passwd\"><ListBucketResult></ListBucketResult>"),
    document("deep document", String(repeating: "<a>", count: 100_000)),
    document("wrong root", "<html><body>Welcome</body></html>"),
    document("empty document", ""),
    document("long name", "<\(String(repeating: "a", count: 10_000))/>"),
    listing("many elements", String(repeating: "<Contents/>", count: 50_000)),
    listing("page without end", "<IsTruncated>true</IsTruncated>"),
    listing(
      "same token for ever",
      "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"),
    listing("key outside", "<Contents><Key>other/x</Key><Size>1</Size></Contents>"),
    listing(
      "keys out of order",
      "<Contents><Key>depot/data/b</Key><Size>1</Size></Contents>"
        + "<Contents><Key>depot/data/a</Key><Size>1</Size></Contents>"),
    listing("negative size", "<Contents><Key>depot/data/a</Key><Size>-1</Size></Contents>"),
    listing(
      "huge size",
      "<Contents><Key>depot/data/a</Key><Size>99999999999999999999</Size></Contents>"),
    listing("key without size", "<Contents><Key>depot/data/a</Key></Contents>"),
    listing(
      "invalid encoding",
      "<EncodingType>url</EncodingType><Contents><Key>depot/data/%zz</Key><Size>1</Size></Contents>"
    ),
  ]
}

/// An operation, a fault, and how often it occurs.
struct FaultCase: Sendable, CustomTestStringConvertible {
  enum Occurrence: String, Sendable { case first, second, always }

  let operation: Operation
  let fault: NamedFault
  let occurrence: Occurrence

  var testDescription: String { "\(operation), \(fault.name), \(occurrence)" }

  func applies(to number: Int) -> Bool {
    switch occurrence {
    case .first: number == 0
    case .second: number == 1
    case .always: true
    }
  }

  static let all = Operation.allCases.flatMap { operation in
    NamedFault.all.flatMap { fault in
      // Operations of one request have no second one.
      ([.first, .second, .always] as [Occurrence])
        .filter { $0 != .second || [.upload, .createLarge, .list].contains(operation) }
        .map { FaultCase(operation: operation, fault: fault, occurrence: $0) }
    }
  }
}
