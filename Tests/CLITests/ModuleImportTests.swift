// The layers of docs/architecture.md: which module imports which.

import Foundation
import TestSupport
import Testing

struct ModuleImportTests {
  /// The modules of the package, in the order of Package.swift, each with its dependencies.
  private func modules() throws -> [(name: String, dependencies: Set<String>)] {
    let text = try String(contentsOfFile: packageRoot + "/Package.swift", encoding: .utf8)
    let library = /module\(\s*"(\w+)",\s*\[([^\]]*)\]/
    let program = /executableTarget\(\s*name: "(imgstore)",\s*dependencies: \[([^\]]*)\]/
    return (text.matches(of: library) + text.matches(of: program)).map { match in
      (
        String(match.output.1),
        Set(match.output.2.matches(of: /"(\w+)"/).map { String($0.output.1) })
      )
    }
  }

  /// Returns the modules that the files of a module import, with a file for each.
  private func imports(of module: String) throws -> [String: String] {
    let directory = packageRoot + "/Sources/" + module
    let paths = try #require(FileManager.default.enumerator(atPath: directory))
    var imports: [String: String] = [:]
    for case let path as String in paths where path.hasSuffix(".swift") {
      let text = try String(contentsOfFile: directory + "/" + path, encoding: .utf8)
      let line = /(?m)^(?:@\w+ )*import (?:(?:struct|enum|class|protocol|func|var) )?(\w+)/
      for match in text.matches(of: line) { imports[String(match.output.1)] = path }
    }
    return imports
  }

  @Test func `the command line imports only Images and Server`() throws {
    let names = Set(try modules().map(\.name))
    let imports = try imports(of: "imgstore").filter { names.contains($0.key) }
    #expect(imports.keys.sorted() == ["Images", "Server"], "\(imports)")
    let program = try #require(try modules().last)
    #expect(program.name == "imgstore")
    #expect(program.dependencies.intersection(names) == ["Images", "Server"])
  }

  @Test func `each module imports only modules that Package.swift lists for it`() throws {
    let modules = try modules()
    #expect(modules.count > 10)
    let names = Set(modules.map(\.name))
    for module in modules {
      for (name, path) in try imports(of: module.name)
      where names.contains(name) || name.hasPrefix("C") {
        #expect(module.dependencies.contains(name), "\(module.name)/\(path) imports \(name)")
      }
    }
  }

  @Test func `dependencies point downward`() throws {
    var below: Set<String> = []
    let modules = try modules()
    let names = Set(modules.map(\.name))
    for module in modules {
      // A module is listed after its dependencies, so there is no circle.
      let above = module.dependencies.intersection(names).subtracting(below)
      #expect(above.isEmpty, "\(module.name) depends on \(above.sorted())")
      below.insert(module.name)
    }
  }
}
