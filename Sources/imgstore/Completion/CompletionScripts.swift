// imgstore completion: prints the scripts that bash, zsh and fish load. For each completion, a script calls
// the program (CompletionAnswer.swift). It does not depend on the commands, so it need not change with them.

import ArgumentParser

/// A shell with a completion script.
enum Shell: String, CaseIterable, ExpressibleByArgument {
  case bash
  case zsh
  case fish

  /// The completion script.
  var script: String {
    switch self {
    case .bash: Shell.bashScript
    case .zsh: Shell.zshScript
    case .fish: Shell.fishScript
    }
  }
}

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion",
    abstract: "Print the completion script of a shell",
    discussion: """
      'make install' installs the scripts. To load one yourself:

        bash   eval "$(imgstore completion bash)" in ~/.bashrc
        zsh    imgstore completion zsh >"${fpath[1]}/_imgstore"
        fish   imgstore completion fish >~/.config/fish/completions/imgstore.fish
      """)

  @Argument(help: "bash, zsh or fish") var shell: Shell

  func run() throws { print(shell.script, terminator: "") }
}

extension Shell {
  fileprivate static let bashScript = #"""
    # bash completion for imgstore. It needs bash 4.2 or later, and no other package.

    _imgstore() {
        local program=$1 kept action name IFS=$' \t\n'
        local -a reply
        COMPREPLY=()
        # The program as typed; an alias cannot be run.
        [[ $program == "~/"* ]] && program=$HOME/${program#"~/"}
        type -P -- "$program" >/dev/null || program=imgstore
        mapfile -t reply < <("$program" __complete bash "$2" "${COMP_TYPE:-9}" \
            "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
        case ${reply[0]-} in
            words*)
                COMPREPLY=("${reply[@]:1}")
                if [[ ${reply[0]} == *open ]]; then compopt -o nospace; fi
                ;;
            files*|folders*)
                kept=${reply[0]#* }
                if ((kept == 0)); then
                    # Names of files, with readline's own quoting.
                    if [[ ${reply[0]} == files* ]]; then
                        compopt -o default
                    else
                        compopt -o dirnames
                    fi
                else
                    # "=" does not divide words here.
                    kept=${2:0:kept}
                    action=-f
                    if [[ ${reply[0]} == folders* ]]; then action=-d; fi
                    while IFS= read -r name; do
                        if [[ -d $name ]]; then name+=/; fi
                        COMPREPLY+=("$kept$name")
                    done < <(compgen "$action" -- "${2#"$kept"}")
                    compopt -o filenames -o nospace
                fi
                ;;
        esac
    }

    # The program's order: tags, then snapshots, the latest first.
    complete -o nosort -F _imgstore imgstore 2>/dev/null || complete -F _imgstore imgstore

    """#

  fileprivate static let zshScript = #"""
    #compdef imgstore

    _imgstore() {
        local program=${(Q)words[1]} kind mark
        local -a reply marked how
        local -i kept found
        program=${program/#\~\//$HOME/}
        whence -p -- "$program" >/dev/null || program=imgstore
        reply=("${(@f)$(COLUMNS=$COLUMNS "$program" __complete zsh "${(Q)PREFIX}" \
            "${(@Q)words[1,CURRENT-1]}" 2>/dev/null)}")
        kind=${reply[1]%% *}
        case $kind in
            files|folders)
                kept=${reply[1]#* }
                compset -p $kept
                if [[ $kind == files ]]; then _files; else _path_files -/; fi
                return
                ;;
            words) ;;
            *) return 1 ;;
        esac
        shift reply
        found=$#reply
        # "=": a blank follows. "+": the word goes on. "@": a blank follows, and "@" or ":" replaces it.
        for mark in '=' '@' '+'; do
            marked=("${(@M)reply:#${mark}*}")
            (( $#marked )) || continue
            # Of one kind, they are in the program's order: tags, then snapshots, the latest first.
            how=(-U)
            if (( $#marked == found )); then how+=(-V imgstore); else how+=(-J imgstore); fi
            case $mark$compstate[quote] in
                '='*) ;;
                '@') how+=(-S ' ' -r '@:') ;;
                *) how+=(-S '') ;;
            esac
            marked=("${(@)marked#?}")
            _imgstore_add
        done
        return $(( found == 0 ))
    }

    # Adds candidates: the word, a tab, and the line that lists show where there is a summary.
    _imgstore_add() {
        local -a texts=("${(@)marked%%$'\t'*}") lines=("${(@)marked#*$'\t'}")
        if [[ -n ${(j::)lines} ]]; then
            compadd "${how[@]}" -l -d lines -a texts
        else
            compadd "${how[@]}" -a texts
        fi
    }

    if [[ ${funcstack[1]} == _imgstore ]]; then
        _imgstore "$@"
    else
        compdef _imgstore imgstore
    fi

    """#

  fileprivate static let fishScript = #"""
    # fish completion for imgstore.

    function __imgstore_complete
        set -l words (commandline -opc)
        set -l typed (commandline -ct)
        set -l word (string unescape -- $typed)
        set -q word[1]; or set word $typed
        set -l program $words[1]
        command -sq -- $program; or set program imgstore
        set -l reply (command $program __complete fish "$word" $words 2>/dev/null)
        switch "$reply[1]"
            case words
                set -e reply[1]
                if set -q reply[1]
                    printf '%s\n' $reply
                end
            case 'files *' 'folders *'
                set -l kind (string split ' ' -- $reply[1])
                set -l kept (string sub -l $kind[2] -- "$typed")
                set -l rest (string sub -s (math $kind[2] + 1) -- "$typed")
                # fish completes names of files for a command that it does not know.
                for name in (complete -C "imgstore-names-of-files $rest")
                    set name (string split -m 1 \t -- $name)[1]
                    if test $kind[1] = files; or string match -q '*/' -- $name
                        printf '%s%s\n' $kept $name
                    end
                end
        end
    end

    complete -c imgstore -f -k -a '(__imgstore_complete)'

    """#
}
