// Exceptions from exclude patterns.

import Platform
import Testing

@Suite struct ExcludeExceptionTests {
  private func lists(_ lines: [String], except kept: [(String, Bool)]) throws -> ExcludeLists {
    var exceptions = ExcludeExceptions()
    for (path, isDirectory) in kept {
      exceptions.insert(try #require(RelativePath(written: path.utf8)), isDirectory: isDirectory)
    }
    var lists = ExcludeLists()
    lists.add(try ExcludePatterns(lines), except: exceptions)
    return lists
  }

  private func isExcluded(
    _ lists: ExcludeLists, _ path: RelativePath, _ isDirectory: Bool = false
  ) -> Bool {
    lists.match(path, isDirectory: isDirectory) != nil
  }

  @Test func `an exception covers exactly one path`() throws {
    let lists = try lists(["log/"], except: [("var/log", true), ("var/log/kept", false)])
    #expect(!isExcluded(lists, "var/log", true) && !isExcluded(lists, "var/log/kept"))
    #expect(isExcluded(lists, "var/log/other"), "it is excluded with its directory")
    #expect(isExcluded(lists, "srv/log", true) && !isExcluded(lists, "etc"))
  }

  @Test func `paths below an exception are not excluded`() throws {
    let lists = try lists(["hosts"], except: [("etc/hosts", false)])
    #expect(!isExcluded(lists, "etc/hosts", true) && !isExcluded(lists, "etc/hosts/x"))
    // Kept as a file in one tree, and as a directory in another.
    let both = try self.lists(["hosts"], except: [("etc/hosts", true), ("etc/hosts", false)])
    #expect(!isExcluded(both, "etc/hosts/x"))
  }

  @Test func `a list that is added again keeps the exceptions of both`() throws {
    var lists = try lists(["*.log"], except: [("a.log", false), ("b.log", false)])
    var other = ExcludeExceptions()
    other.insert("b.log", isDirectory: false)
    lists.add(try ExcludePatterns(["*.log"]), except: other)
    #expect(lists.lists.count == 1)
    #expect(isExcluded(lists, "a.log") && !isExcluded(lists, "b.log"))
    lists.add(try ExcludePatterns(["*.log"]))
    #expect(isExcluded(lists, "b.log"))
  }
}
