// Short runs of the durability harnesses. `make test-damage` and `make test-powercut` are the long
// ones.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.sweep) struct DurabilityTests {
  private static let directory = packageRoot + "/Tests/Durability"

  /// Runs a program of Tests/Durability over the binary under test.
  private func runHarness(_ program: String, _ arguments: String...) throws -> ToolResult {
    try run(
      "python3", arguments: ["\(Self.directory)/\(program)"] + arguments,
      environment: ["IMGSTORE_BINARY": binary])
  }

  @Test func `the power-cut model loses only what POSIX allows`() throws {
    let result = try runHarness("model_tests.py")
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(.enabled(if: isRoot)) func `the harness detects a program that lies about or omits syncs`()
    throws
  {
    let result = try runHarness("harness_tests.py")
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(.enabled(if: isRoot)) func `damage to a store is always detected and never spreads`()
    throws
  {
    let result = try runHarness("damage.py", "--count", "15")
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("15 damages in"))
  }

  @Test(.enabled(if: isRoot))
  func `after a power cut the change can be resumed, and nothing is lost`()
    throws
  {
    let result = try runHarness("powercut.py", "--count", "30")
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("30 distinct states in"))
  }
}
