# bash completion for joblet-run: verbs and options as its own --help has them, ids as list has them.
_joblet_run()
{
    local cur=${COMP_WORDS[COMP_CWORD]} run=${COMP_WORDS[0]} verb='' root=() word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --root) root=(--root "${COMP_WORDS[++i]}") ;;
        --log | --log-format | --rootless | --criu) ((i++)) ;;
        -* | =) ;;
        *)
            verb=$word
            break
            ;;
        esac
    done
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$run" ${verb:+"$verb"} --help 2>/dev/null |
            grep -oE '(^| )--?[a-z0-9-]+')" -- "$cur")
    elif [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$run" --help 2>/dev/null |
            sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")
    else
        case $verb in
        create | run | restore | list | spec | features | plan | gc) ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$("$run" "${root[@]}" list -q 2>/dev/null)" -- "$cur") ;;
        esac
    fi
}
complete -o default -F _joblet_run joblet-run
