// Every value that the parser accepts has a kind for completion (Images, ValueTable). A new
// command, operand or option with a value needs a row there.

import Foundation
import Images
import TestSupport
import Testing

@Suite struct CompletionTableTests {
  private struct Dump: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String
    }
    struct Argument: Decodable {
      let kind: String
      let shouldDisplay: Bool
      let preferredName: Name?
      let valueName: String?
      let allValues: [String]?
    }
    struct Command: Decodable {
      let commandName: String
      let shouldDisplay: Bool
      let subcommands: [Command]?
      let arguments: [Argument]?
    }
    let command: Command
  }

  @Test func `every value of every command has a kind for completion`() throws {
    let json = try run(binary, "--experimental-dump-help").output
    let root = try JSONDecoder().decode(Dump.self, from: Data(json.utf8)).command
    var commands = 0
    func check(_ command: Dump.Command, _ path: [String]) {
      guard command.shouldDisplay else { return }
      commands += 1
      for argument in command.arguments ?? [] {
        guard argument.shouldDisplay, argument.kind != "flag", (argument.allValues ?? []).isEmpty
        else { continue }
        let name =
          argument.preferredName.map { ($0.kind == "long" ? "--" : "-") + $0.name }
          ?? argument.valueName ?? ""
        #expect(
          ValueTable.kind(of: name, in: path.joined(separator: " ")) != nil,
          "\(path.joined(separator: " ")) \(name) needs a row in ValueTable.swift")
      }
      for inner in command.subcommands ?? [] { check(inner, path + [inner.commandName]) }
    }
    check(root, [])
    #expect(commands > 40)
  }
}
