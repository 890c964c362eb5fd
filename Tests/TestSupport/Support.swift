// Helpers that the tests of all modules share: temporary directories, running tools, printed seeds.

import Foundation
import Images
import Platform
import Store
import Testing

/// A directory that is removed with the last reference to it.
public final class TemporaryDirectory: Sendable {
  public let path: String

  /// Creates a directory.
  /// - Parameter parent: where; nil for the directory of temporary files.
  public init(in parent: String? = nil) throws {
    let base = parent ?? ProcessInfo.processInfo.environment["TMPDIR"] ?? "/var/tmp"
    path = "\(base)/imgstore-test-\(randomName())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    _ = try? execute("chmod", ["-R", "u+rwx", path])
    _ = try? execute("rm", ["-rf", "--one-file-system", path])
  }

  public func path(_ name: String) -> String { "\(path)/\(name)" }
}

/// The exit status and output of a tool.
public struct ToolResult: Sendable {
  public let status: Int32
  public let output: String
  public let errors: String
  public var didSucceed: Bool { status == 0 }
}

/// Runs a tool to its end.
@discardableResult
public func run(
  _ tool: String, _ arguments: String..., environment: [String: String] = [:], input: String? = nil
) throws -> ToolResult {
  try run(tool, arguments: arguments, environment: environment, input: input)
}

@discardableResult
public func run(
  _ tool: String, arguments: [String], environment: [String: String] = [:], input: String? = nil,
  directory: String? = nil
) throws -> ToolResult {
  if TestSelection.isFast {
    throw TestFailure("a fast test runs \(tool): mark it or its suite with `.usesTools`")
  }
  return try execute(
    tool, arguments, environment: environment, input: input, directory: directory)
}

private func execute(
  _ tool: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
  directory: String? = nil
) throws -> ToolResult {
  let process = Process()
  if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [tool] + arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  // Files in place of pipes hold output of any length.
  let name = "/var/tmp/imgstore-tool-\(randomName())"
  defer {
    unlink(name + ".out")
    unlink(name + ".err")
  }
  for suffix in [".out", ".err"] {
    _ = FileManager.default.createFile(atPath: name + suffix, contents: nil)
  }
  process.standardOutput = FileHandle(forWritingAtPath: name + ".out")
  process.standardError = FileHandle(forWritingAtPath: name + ".err")
  let pipe = Pipe()
  process.standardInput = input == nil ? FileHandle.nullDevice : pipe
  try process.run()
  if let input {
    pipe.fileHandleForWriting.write(Data(input.utf8))
    try pipe.fileHandleForWriting.close()
  }
  process.waitUntilExit()
  func text(_ suffix: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: name + suffix)), as: UTF8.self)
  }
  return ToolResult(
    status: process.terminationStatus, output: try text(".out"), errors: try text(".err"))
}

/// Runs a short bash script, and records an issue if it fails.
@discardableResult
public func shell(_ script: String, _ arguments: String...) throws -> ToolResult {
  let result = try run("bash", arguments: ["-euc", script, "test"] + arguments)
  if !result.didSucceed { Issue.record("script failed: \(script)\n\(result.errors)") }
  return result
}

/// Returns the path of a fixture, a file below Tests/Fixtures.
public func fixture(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/\(name)").path
}

/// Returns the path of a fixture as one word of a shell line.
public func quotedFixture(_ name: String) -> String { "'\(fixture(name))'" }

/// Runs a program of Tests/Fixtures/scripts that must succeed. Use `run(fixture(…))` if it may fail.
@discardableResult
public func runFixture(
  _ name: String, _ arguments: String..., environment: [String: String] = [:]
) throws -> ToolResult {
  let result = try run(fixture(name), arguments: arguments, environment: environment)
  guard result.didSucceed else { throw TestFailure("\(name) \(arguments): \(result.errors)") }
  return result
}

/// The root of the package.
public let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().path

/// A small, good generator: the same numbers for the same seed, everywhere (Steele et al., 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(_ seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  public mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) }
  }
}

/// Seeds for property tests: four in a whole sweep, else two. IMGSTORE_SEED adds one, to repeat a failure.
public let seeds: [UInt64] =
  (ProcessInfo.processInfo.environment["IMGSTORE_SEED"].flatMap { UInt64($0) }.map { [$0] } ?? [])
  + (Sweep.isWhole ? [1, 2, 3, 20_261_123] : [2, 20_261_123])

extension Workspace {
  /// A workspace of its own below `directory`, with an image "img" whose root tree is `root/img/rootimg`.
  public static func test(
    _ directory: TemporaryDirectory, store: String = "store",
    fileSystem: any FileSystem = KernelFileSystem.shared,
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    try FileManager.default.createDirectory(
      atPath: directory.path("root/img/rootimg"), withIntermediateDirectories: true)
    let workspace = try Workspace(
      WorkspaceOptions(store: directory.path(store), root: directory.path("root")),
      fileSystem: fileSystem, warn: warn)
    _ = try workspace.define(
      "img",
      [
        "provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9", "osarch=x86_64",
      ])
    return workspace
  }
}

extension Workspace {
  /// Imports a bundle of one image. `change` sets options of the request.
  @discardableResult
  public func importing(
    _ bundle: String, _ change: (inout ImportRequest) -> Void = { _ in }
  ) throws -> ImportedImage {
    var request = ImportRequest(bundle)
    // The trees of tests have setuid files, and no packages.
    request.allowsPrivileged = true
    change(&request)
    let outcome = try importBundle(request)
    guard let image = outcome.images.first, outcome.images.count == 1 else {
      throw TestFailure("the bundle has \(outcome.images.count) images")
    }
    return image
  }

  /// Exports to a file. `change` sets options of the request.
  @discardableResult
  public func exporting(
    _ reference: String, to path: String, _ change: (inout ExportRequest) -> Void = { _ in }
  ) throws -> ExportOutcome {
    var request = ExportRequest(reference)
    request.destination = .file(path)
    change(&request)
    return try export(request)
  }
}

/// Returns the code of the error that `body` throws; nil if it throws none with a code.
public func errorCode(of body: () throws -> Void) -> ErrorCode? {
  do { try body() } catch let error as any ExplainedError { return error.errorCode } catch {}
  return nil
}

/// The reason why a test cannot continue.
public struct TestFailure: Error {
  public let text: String
  public init(_ text: String) { self.text = text }
}
