// A local user races commands of root (Tests/Races): a few rounds of each race. `make test-races`
// is the long run.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.serialized, .sweep) struct RaceTests {
  private func race(_ name: String, rounds: Int = 20) throws {
    let result = try run(
      "python3",
      arguments: [
        packageRoot + "/Tests/Races/races.py", "--race", name, "--rounds", "\(rounds)", "--binary",
        binary,
      ])
    // 77: the race cannot run here, and the output says why.
    if result.status == 77 {
      print(result.output)
      return
    }
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("\(name): \(rounds) rounds"))
  }

  @Test(arguments: ["setuid", "give"])
  func `no race gives a local user root's privileges or a file of root`(_ name: String) throws {
    try race(name)
  }

  /// Every output, in the place of a file, of a directory, and of nothing.
  @Test(arguments: [
    "pack", "extract", "restore", "export", "plot", "pack-missing", "extract-missing",
    "restore-missing", "export-missing", "plot-missing", "extract-folder", "restore-folder",
    "export-folder",
  ])
  func `no race makes root write through a link of a local user`(_ name: String) throws {
    try race(name, rounds: 10)
  }
}
