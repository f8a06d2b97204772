# bash completion for rnx; made by `rnx completion bash`.
_rnx()
{
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' help='' rest='' words='' flags=''
    local valued word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        '=') ((++i)) ;;
        -?*)
            [[ $word == -- ]] && rest=yes && break
            valued=' --config --node '
            case $verb in
            'job run' | 'run') valued+=' --max-cpu --max-memory --max-iobps --cpu-cores --runtime --network --volume --upload --upload-dir --schedule --env -e --secret-env -s --timeout --name --workdir --workflow --template --gpu --gpu-memory --priority --net-rx --net-tx --tmp-size ' ;;
            'job list' | 'list') valued+=' --status ' ;;
            'job status' | 'status') valued+=' ' ;;
            'job log' | 'log') valued+=' --tail ' ;;
            'volume create') valued+=' --size --type ' ;;
            'monitor top') valued+=' --filter ' ;;
            'monitor watch') valued+=' --interval --filter ' ;;
            'network create') valued+=' --cidr ' ;;
            esac
            [[ $valued == *" $word "* ]] && [[ ${COMP_WORDS[i + 1]} != '=' ]] && ((++i))
            ;;
        *)
            if [[ -z $verb && $word == help ]]; then
                help=yes
            elif [[ -z $verb ]]; then
                verb=$word
            elif [[ ' job volume monitor network ' == *" $verb "* ]]; then
                verb="$verb $word"
            else
                rest=yes
                break
            fi
            ;;
        esac
    done
    ((i <= COMP_CWORD)) || return 0 # a flag's value
    case $rest$verb in
    yes'job run' | yes'run') COMPREPLY=(); return 0 ;; # the job's
    esac
    flags=' --config= --node= --json --version --help'
    case $verb in
    '') words=' run job list status log stop cancel delete delete-all metrics volume monitor network nodes version config-help completion help' ;;
    job) words=' run list status log stop cancel delete delete-all metrics' ;;
    volume) words=' create list remove' ;;
    monitor) words=' status top watch' ;;
    network) words=' create list remove' ;;
    'job run' | 'run') flags="$flags --max-cpu= --max-memory= --max-iobps= --cpu-cores= --runtime= --network= --volume= --upload= --upload-dir= --schedule= --env= --secret-env= --timeout= --name= --workdir= --wait --workflow= --template= --gpu= --gpu-memory= --priority= --net-rx= --net-tx= --tmp-size=" ;;
    'job list' | 'list') flags="$flags --status= --workflow" ;;
    'job status' | 'status') flags="$flags --workflow --detail" ;;
    'job log' | 'log') flags="$flags --follow --no-follow --tail= --timestamps" ;;
    'volume create') flags="$flags --size= --type=" ;;
    'monitor top') flags="$flags --filter=" ;;
    'monitor watch') flags="$flags --interval= --filter= --compact" ;;
    'network create') flags="$flags --cidr=" ;;
    'completion') flags="$flags bash zsh fish" ;;
    esac
    [[ -n $help ]] && flags=''
    mapfile -t COMPREPLY < <(compgen -W "$words $flags" -- "$cur")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _rnx rnx
