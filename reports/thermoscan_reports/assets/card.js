// After table.js: the rows of a card's layers; follows #layer-N. R roles, S shapes, W reasons.
const R=words(T.roles),S=words(T.shapes),W=T.numbers.map(c=>words(c.why)),
keep=(i,q)=>(N[i]+R[i]).toLowerCase().includes(q),
fill=(r,i)=>{
r.id='layer-'+i;r.className=T.flags[i]||'';
cell(r,R[i]);cell(r,S[i]);
W.map((w,j)=>cell(r,show(K[j+1][i])).title=w[i])
},
jump=()=>{
const i=+location.hash.slice(7),h='#layer-'+i;
if(location.hash!=h||!N[i]) return;
if(!O.includes(i)) $('q').value='',list();
p=O.indexOf(i)/M|0;draw();
location.replace(h)
};
list();
(onhashchange=jump)()
})()
