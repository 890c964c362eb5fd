// The memory that the program needs for untrusted bundles: the largest of the corpus, and valid
// ones with the widest windows and the deepest trees.

import Foundation
import HostileBundles
import TestSupport
import Testing

@Suite struct MemoryTests {
  /// The limit of the resident memory: two zstd windows of 128 MiB, and 64 MiB for the rest.
  private static let limitBytes = 320 << 20

  /// Imports a bundle and measures the peak memory.
  private func importing(_ bytes: [UInt8]) throws -> (status: Int, peakBytes: Int, errors: String) {
    let directory = try TemporaryDirectory()
    try Data(bytes).write(to: URL(fileURLWithPath: directory.path("b.tgz")))
    try shell("mkdir -p \"$1/root/install\"", directory.path)
    let script = """
      import resource, subprocess, sys
      done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
      print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
      sys.stderr.write(done.stderr.decode())
      """
    let result = try run(
      "python3", arguments: ["-c", script, binary, "import", directory.path("b.tgz")],
      environment: [
        "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      ])
    let numbers = result.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    try #require(numbers.count == 2, "\(result.output) \(result.errors)")
    return (numbers[0], numbers[1], result.errors)
  }

  @Test(arguments: Sweep.some(of: HostileBundle.heavy, every: 3))
  func `an import of a hostile bundle stays within the memory limit`(_ hostile: HostileBundle)
    throws
  {
    let outcome = try importing(hostile.make())
    #expect(outcome.status == 1, "\(outcome.errors)")
    #expect(outcome.peakBytes < MemoryTests.limitBytes, "\(outcome.peakBytes >> 20) MiB")
    print("peak \(outcome.peakBytes >> 20) MiB: \(hostile.name)")
  }

  @Test(arguments: ["windows", "levels", "records"])
  func `an import of a large valid bundle stays within the memory limit`(_ name: String) throws {
    let bytes =
      switch name {
      case "windows": HostileBundle.widestWindows()
      case "levels": HostileBundle.deepTree(levels: 1900)
      default: try #require(OddBundle.all.first { $0.name.hasPrefix("600,000") }).make()
      }
    let outcome = try importing(bytes)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.peakBytes < MemoryTests.limitBytes, "\(outcome.peakBytes >> 20) MiB")
    print("peak \(outcome.peakBytes >> 20) MiB: \(name)")
  }
}
