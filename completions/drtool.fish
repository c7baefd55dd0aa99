# fish completion for drtool; made by: drtool completion fish
function __drtool_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -c --config
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end
function __drtool_typed
    set -l typed (__drtool_words)
    test "$typed" = "$argv[1]"
end
function __drtool_in
    set -l typed (__drtool_words)
    string match -q -- "$argv[1] *" "$typed "
end
function __drtool_ask
    set -l words (commandline -opc)
    set -l config
    for i in (seq (count $words))
        if contains -- $words[$i] -c --config; and set -q words[(math $i + 1)]
            set config -c $words[(math $i + 1)]
        end
    end
    drtool $config __complete $argv[1] 2>/dev/null
end
complete -c drtool -f
complete -c drtool -n '__drtool_typed ""' -a init -d 'make a new repository on all targets of the configuration'
complete -c drtool -n '__drtool_in "init"' -l yes-saved -d 'do not ask whether the recovery code was written down'
complete -c drtool -n '__drtool_typed ""' -a join -d 'let this host back up into a repository that exists'
complete -c drtool -n '__drtool_in "join"' -l name -x -d 'what this host is called in the repository (default: its host name)'
complete -c drtool -n '__drtool_in "join"' -l role -x -d 'of the new key file: writer, reader or admin (default: reader)'
complete -c drtool -n '__drtool_in "join"' -l key-file -r -F -d 'join with the admin key in FILE'
complete -c drtool -n '__drtool_in "join"' -l passphrase-file -r -F -d 'join with the passphrase or recovery code in FILE'
complete -c drtool -n '__drtool_in "join"' -l passphrase-env -x -d 'join with the one in this variable of the environment'
complete -c drtool -n '__drtool_in "join"' -l wait -x -d 'wait so long for another run on this host to end'
complete -c drtool -n '__drtool_typed ""' -a backup -d 'take a snapshot of each source and send it to every target'
complete -c drtool -n '__drtool_in "backup"' -a '(__drtool_ask source)'
complete -c drtool -n '__drtool_in "backup"' -l dry-run -s n -d 'read and deduplicate, but store nothing'
complete -c drtool -n '__drtool_in "backup"' -l tag -x -d 'put TAG on the snapshot; may be repeated'
complete -c drtool -n '__drtool_in "backup"' -l threads -x -d 'compress and seal with N threads (default: 2; 0: all in one)'
complete -c drtool -n '__drtool_in "backup"' -l memory -x -d 'take no more memory than about SIZE, 48MiB or more'
complete -c drtool -n '__drtool_in "backup"' -l accept-changed-source -d 'take a source that shrank, emptied or moved as it is'
complete -c drtool -n '__drtool_in "backup"' -l wait -x -d 'wait so long for another run on this host to end'
complete -c drtool -n '__drtool_typed ""' -a snapshots -d 'list snapshots and where they are'
complete -c drtool -n '__drtool_in "snapshots"' -a '(__drtool_ask source)'
complete -c drtool -n '__drtool_in "snapshots"' -l all -s a -d 'also those that no target holds complete'
complete -c drtool -n '__drtool_in "snapshots"' -l tag -x -d 'only snapshots with TAG; may be repeated'
complete -c drtool -n '__drtool_typed ""' -a restore -d 'bring files back from whichever targets still have them'
complete -c drtool -n '__drtool_in "restore"' -a '(__drtool_ask snapshot)'
complete -c drtool -n '__drtool_in "restore"' -l to -x -a '(__fish_complete_directories)' -d 'restore below DIR, which is made when missing'
complete -c drtool -n '__drtool_in "restore"' -l include -x -d 'only files that match; may be repeated'
complete -c drtool -n '__drtool_in "restore"' -l exclude -x -d 'leave out what matches; may be repeated'
complete -c drtool -n '__drtool_in "restore"' -l overwrite -x -a 'always if-changed never' -d 'what to do with files that exist (default: always)'
complete -c drtool -n '__drtool_in "restore"' -l owner -x -a 'auto numeric skip' -d 'how to set owners (default: by name where known, as root)'
complete -c drtool -n '__drtool_in "restore"' -l numeric-owner -d 'the same as --owner numeric'
complete -c drtool -n '__drtool_in "restore"' -l tablespace -x -d 'put the tablespace with number A, or that was at A, into DIR; may be repeated'
complete -c drtool -n '__drtool_in "restore"' -l to-time -x -d 'have a PostgreSQL server replay its log to this moment'
complete -c drtool -n '__drtool_in "restore"' -l to-lsn -x -d 'have it replay to this position'
complete -c drtool -n '__drtool_in "restore"' -l to-xid -x -d 'have it replay to this transaction'
complete -c drtool -n '__drtool_in "restore"' -l to-name -x -d 'have it replay to this restore point'
complete -c drtool -n '__drtool_in "restore"' -l to-latest -d 'have it replay all that is stored (default, unless @WHEN is given)'
complete -c drtool -n '__drtool_in "restore"' -l to-snapshot -d 'have it replay nothing behind the backup'
complete -c drtool -n '__drtool_in "restore"' -l timeline -x -d 'along timeline T, a number, latest or current (default: the backup\'s newest)'
complete -c drtool -n '__drtool_in "restore"' -l no-archive -d 'have the server store no log, as a copy beside the real one'
complete -c drtool -n '__drtool_in "restore"' -l no-prepare -d 'leave a MariaDB server\'s files for mariadb-backup --prepare'
complete -c drtool -n '__drtool_in "restore"' -l plan -d 'tell what would be read, and restore nothing'
complete -c drtool -n '__drtool_in "restore"' -l threads -x -d 'fetch and write with N threads (default: 4, from afar 16)'
complete -c drtool -n '__drtool_in "restore"' -l memory -x -d 'take no more memory than about SIZE, 48MiB or more'
complete -c drtool -n '__drtool_typed ""' -a ls -d 'list the files of a snapshot'
complete -c drtool -n '__drtool_in "ls"' -a '(__drtool_ask snapshot)'
complete -c drtool -n '__drtool_in "ls"' -l recursive -s r -d 'everything below, not one level'
complete -c drtool -n '__drtool_in "ls"' -l names -d 'only the paths'
complete -c drtool -n '__drtool_typed ""' -a dump -d 'write a file, or a folder as an archive, to standard output'
complete -c drtool -n '__drtool_in "dump"' -a '(__drtool_ask snapshot)'
complete -c drtool -n '__drtool_in "dump"' -l format -x -a 'raw tar' -d 'one file\'s bytes, or an archive (default: raw)'
complete -c drtool -n '__drtool_in "dump"' -l output -s o -r -F -d 'write to FILE instead of standard output'
complete -c drtool -n '__drtool_typed ""' -a diff -d 'tell what changed from one snapshot to another'
complete -c drtool -n '__drtool_in "diff"' -a '(__drtool_ask snapshot)'
complete -c drtool -n '__drtool_typed ""' -a verify -d 'check what the targets hold, and mend it'
complete -c drtool -n '__drtool_in "verify"' -l level -s l -x -d '0 presence, 1 attested, 2 structure, 3 read (default: 2)'
complete -c drtool -n '__drtool_in "verify"' -l target -s t -x -a '(__drtool_ask target)' -d 'verify only TARGET'
complete -c drtool -n '__drtool_in "verify"' -l heal -d 'replace bad and missing objects from other targets'
complete -c drtool -n '__drtool_in "verify"' -l threads -x -d 'read with N threads (default: 2)'
complete -c drtool -n '__drtool_in "verify"' -l memory -x -d 'take no more memory than about SIZE, 48MiB or more'
complete -c drtool -n '__drtool_typed ""' -a sync -d 'bring every target to what the best of them holds'
complete -c drtool -n '__drtool_in "sync"' -l from -x -a '(__drtool_ask target)' -d 'copy only from TARGET'
complete -c drtool -n '__drtool_in "sync"' -l to -x -a '(__drtool_ask target)' -d 'copy only to TARGET'
complete -c drtool -n '__drtool_in "sync"' -l dry-run -s n -d 'tell what would be copied, and copy nothing'
complete -c drtool -n '__drtool_in "sync"' -l wait -x -d 'wait so long for another run on this host to end'
complete -c drtool -n '__drtool_typed ""' -a wal
complete -c drtool -n '__drtool_typed "wal"' -a push -d 'store files of a PostgreSQL server\'s log, as its archive_command'
complete -c drtool -n '__drtool_in "wal push"' -F
complete -c drtool -n '__drtool_typed "wal"' -a fetch -d 'bring a file of a server\'s log back, as its restore_command'
complete -c drtool -n '__drtool_in "wal fetch"' -F
complete -c drtool -n '__drtool_in "wal fetch"' -l system -x -d 'of the server with this system identifier (default: by the data folder we are in)'
complete -c drtool -n '__drtool_typed ""' -a drill -d 'rehearse a recovery plan in a sandbox, with faults, and measure it'
complete -c drtool -n '__drtool_in "drill"' -F
complete -c drtool -n '__drtool_in "drill"' -l report -x -a '(__fish_complete_directories)' -d 'write report.json and junit.xml into DIR, however the drill ends'
complete -c drtool -n '__drtool_in "drill"' -l mode -x -a 'drill check' -d 'check: only look whether the drill could begin'
complete -c drtool -n '__drtool_in "drill"' -l keep -d 'leave the sandbox for a person to look at'
complete -c drtool -n '__drtool_typed ""' -a status -d 'tell how the targets are and how old the last snapshots'
complete -c drtool -n '__drtool_typed ""' -a key
complete -c drtool -n '__drtool_typed "key"' -a list -d 'list the keys that open the repository'
complete -c drtool -n '__drtool_typed "key"' -a add -d 'add a key file, a passphrase or a recovery code'
complete -c drtool -n '__drtool_in "key add"' -l role -x -d 'admin, reader, maintain or writer (default: reader)'
complete -c drtool -n '__drtool_in "key add"' -l key-file -r -F -d 'make a new key file'
complete -c drtool -n '__drtool_in "key add"' -l passphrase-file -r -F -d 'read a passphrase from FILE'
complete -c drtool -n '__drtool_in "key add"' -l passphrase-env -x -d 'take a passphrase from the environment'
complete -c drtool -n '__drtool_in "key add"' -l recovery-code -d 'make a recovery code and print it once'
complete -c drtool -n '__drtool_typed "key"' -a remove -d 'remove a key from all targets'
complete -c drtool -n '__drtool_typed ""' -a target
complete -c drtool -n '__drtool_typed "target"' -a add -d 'make a new or emptied place a target, and fill it'
complete -c drtool -n '__drtool_in "target add"' -a '(__drtool_ask target)'
complete -c drtool -n '__drtool_in "target add"' -l empty -d 'do not copy what the other targets hold; sync does it later'
complete -c drtool -n '__drtool_in "target add"' -l wait -x -d 'wait so long for another run on this host to end'
complete -c drtool -n '__drtool_typed "target"' -a check -d 'try out what targets do, and how fast'
complete -c drtool -n '__drtool_in "target check"' -a '(__drtool_ask target)'
complete -c drtool -n '__drtool_in "target check"' -l size -x -d 'bytes to send and read for the speed; 0: none (default: 16MiB)'
complete -c drtool -n '__drtool_typed "target"' -a retire -d 'let a target go, once the others hold what it holds'
complete -c drtool -n '__drtool_in "target retire"' -a '(__drtool_ask target)'
complete -c drtool -n '__drtool_in "target retire"' -l dry-run -s n -d 'tell whether it may go, and change nothing'
complete -c drtool -n '__drtool_in "target retire"' -l force -d 'also when it is away or snapshots would be short of copies'
complete -c drtool -n '__drtool_in "target retire"' -l wait -x -d 'wait so long for another run on this host to end'
complete -c drtool -n '__drtool_typed ""' -a config
complete -c drtool -n '__drtool_typed "config"' -a check -d 'check the configuration without touching any target'
complete -c drtool -n '__drtool_in "config check"' -l secrets -d 'also ask for every secret, and forget it again'
complete -c drtool -n '__drtool_typed ""' -a completion -d 'print a script that completes drtool\'s words in a shell'
complete -c drtool -n '__drtool_in "completion"' -a '(__drtool_ask shell)'
complete -c drtool -n '__drtool_typed ""' -a help -d 'tell how to use drtool or one of its commands'
complete -c drtool -n '__drtool_in "help"' -a '(__drtool_ask command)'
complete -c drtool -n '__drtool_typed ""' -a version -d 'print the version'
complete -c drtool -l config -s c -r -F -d 'read this configuration, not the one of drtool.yaml(5)'
complete -c drtool -l json -d 'print the result as one JSON object'
complete -c drtool -l progress -d 'tell how far it is, without a terminal too; with --json as JSON lines'
complete -c drtool -l quiet -s q -d 'print nothing but warnings, errors and what was asked for'
complete -c drtool -l verbose -s v -d 'tell what is done; twice for details'
complete -c drtool -l limit-upload -x -d 'send each target no more than SIZE a second, whatever its limits say'
complete -c drtool -l limit-download -x -d 'read no more than SIZE a second from each target'
complete -c drtool -l nice -x -d 'leave processor and disk to others, as nice(1) does, up to 19'
complete -c drtool -l help -s h -d 'print help and end'
complete -c drtool -l version -d 'print the version and end'
