// Listings of refs are remembered within a process. Changes of other processes show at once all the same.

import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct RefListingTests {
  private let directory: TemporaryDirectory
  private let image: ImageName

  init() throws {
    directory = try TemporaryDirectory()
    image = try ImageName("img")
  }

  private func open() throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true,
      report: { _ in })
  }

  private func snapshot(_ message: String) -> Snapshot {
    Snapshot(
      image: "img", created: Timestamp(seconds: 1, nanoseconds: 0), parent: nil, message: message,
      provenance: [], tables: [], components: [], notes: [], facts: [], entryCount: 0,
      contentBytes: 0)
  }

  @Test func `new and removed refs of another process show at once`() throws {
    let (mine, other) = try (open(), open())
    var expected: [Int] = []
    for round in 1...60 {
      // A listing is remembered only if the directory is older than a tick of the clock.
      if round % 3 == 0 { usleep(25_000) }
      #expect(try mine.refs.numbers(of: image) == expected)
      #expect(try mine.refs.numbers(of: image) == expected)
      expected.append(try other.refs.append(snapshot("\(round)")).number)
      #expect(try mine.refs.numbers(of: image) == expected)
      #expect(try mine.refs.latest(of: image)?.number == expected.last)
      if round % 4 == 0 {
        if round % 8 == 0 { usleep(25_000) }
        _ = try mine.refs.numbers(of: image)
        _ = try other.refs.remove(image, [expected.removeLast()])
        #expect(try mine.refs.numbers(of: image) == expected)
      }
      #expect(try mine.refs.nextNumber(of: image) == round + 1, "no number is used twice")
    }
  }

  @Test func `the listings of two images are not confused`() throws {
    let store = try open()
    _ = try store.refs.append(snapshot("one"))
    let two = try ImageName("two")
    usleep(25_000)
    for _ in 0..<4 {
      #expect(try store.refs.numbers(of: image) == [1])
      #expect(try store.refs.numbers(of: two) == [])
    }
  }
}
