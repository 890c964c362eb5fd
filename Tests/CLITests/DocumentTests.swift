// The commands of the documents and of the help texts run in order, as a reader would type them
// (Tests/Documents/documents.py defines the notation). The manual pages are well-formed.

import Foundation
import TestSupport
import Testing

@Suite struct DocumentTests {
  private static let package = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// README and the documents of docs/ that have a `<!-- site: … -->`.
  static let documents: [String] = {
    let directory = (try? FileManager.default.contentsOfDirectory(atPath: package + "/docs")) ?? []
    return (["README.md"] + directory.filter { $0.hasSuffix(".md") }.map { "docs/" + $0 }).sorted()
  }()

  private func check(_ arguments: String...) throws {
    let result = try run(
      "python3",
      arguments: [Self.package + "/Tests/Documents/documents.py", "--binary", binary] + arguments)
    // Without mount namespaces there is no machine to run them on.
    if result.status == 77 { return }
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  @Test(arguments: documents) func `the commands of a document print what the document shows`(
    _ document: String
  )
    throws
  {
    try check(Self.package + "/" + document)
  }

  @Test func `the examples of the help texts work`() throws { try check("--help-examples") }

  @Test func `each command has a manual page that is well-formed`() throws {
    let directory = try TemporaryDirectory()
    let result = try run(
      "python3",
      arguments: [Self.package + "/scripts/manual.py", binary, directory.path("man"), "--check"])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  @Test func `the output of imgstore without arguments fits a screen`() throws {
    let lines = try run(binary, arguments: []).output.split(
      separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count <= 24)
    #expect(lines.allSatisfy { $0.count <= 80 })
  }

  @Test(arguments: [20, 40, 80]) func `messages are wrapped between words`(_ width: Int) throws {
    let site = try TestNode(image: "img")
    var environment = site.environment
    environment["COLUMNS"] = "\(width)"
    let result = try run(
      binary, arguments: ["status", "img@nobody-has-this"], environment: environment)
    #expect(result.status != 0)
    for line in result.errors.split(separator: "\n") {
      #expect(line.count <= width || !line.trimmingCharacters(in: .whitespaces).contains(" "))
    }
    environment["COLUMNS"] = nil
    let plain = try run(
      binary, arguments: ["status", "img@nobody-has-this"], environment: environment)
    let words = { (text: String) in text.split { $0 == " " || $0 == "\n" } }
    #expect(words(plain.errors) == words(result.errors))
  }
}
